from __future__ import annotations

from typing import Any

import pytest

from tollbridge.domain.errors import Invalid
from tollbridge.services import systems
from tollbridge.settings import Settings

STRIPE = systems.find("Stripe")


@pytest.mark.parametrize("name", ["STRIPE_TEST", "stripe-test", "Stripe (Test mode)", "stripe_test"])
def test_a_system_is_found_by_key_or_title_without_case(name: str) -> None:
    if name == "Stripe (Test mode)":
        assert systems.find(name).system.title == name
    assert systems.find(name).system.key == "STRIPE_TEST"


def test_an_unknown_system_is_refused_with_a_suggestion() -> None:
    with pytest.raises(Invalid) as refused:
        systems.find("Strpe")
    assert refused.value.hint == "Did you mean STRIPE?"


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        ({"acountIds": []}, "configData.acountIds", "Did you mean accountIds?"),
        ({"accountFilter": "adress.country == US"}, "configData.accountFilter", "Did you mean address.country?"),
        ({"accountFilter": "currency = USD"}, "configData.accountFilter", "line 1, column 10"),
        ({"accountFilter": 5}, "configData.accountFilter", "is 5"),
        ({"accountIds": "a"}, "configData.accountIds", "should be a list"),
        ({"accountIds": ["a", 5]}, "configData.accountIds[1]", "is 5"),
        ({"splitUsageLines": "DAY"}, "configData.splitUsageLines", "'BILL', 'PRODUCT', 'AGGREGATION' or 'LINE'"),
        ({"sendFrom": "yesterday"}, "configData.sendFrom", '"yesterday"'),
        ({"daysUntilDue": -1}, "configData.daysUntilDue", "greater than or equal to 0"),
        ({"disableAfter": -1}, "configData.disableAfter", "greater than or equal to 0"),
        ({"disableAfter": 1_000_001}, "configData.disableAfter", "less than or equal to 1000000"),
        ({"countErrors": "SOME"}, "configData.countErrors", "'ALL' or 'SHARED'"),
        ({"memo": "{nonsense}"}, "configData.memo", "nonsense"),
        ({"tax": "rates"}, "configData", "taxRates is empty"),
        ({"taxRates": {"*": ["x"]}}, "configData.taxRates.*[0]", '"x"'),
    ],
)
def test_a_bad_option_is_refused_by_name(config: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        systems.check_config(STRIPE, "Bill", config)
    assert refused.value.field == field
    assert words in f"{refused.value.message} {refused.value.hint}"


def test_options_of_all_layers_lie_side_by_side() -> None:
    config = {"accountIds": ["a"], "onlySendOnApproval": True, "sendFrom": "2026-01-01", "finish": "send"}
    config |= {"accountFilter": "address.country == US AND customFields.tier != 'test'"}
    systems.check_config(STRIPE, "Bill", config)


def test_no_option_has_the_same_name_in_two_layers() -> None:
    for destination in systems.destinations():
        for entity_type in destination.connector.entity_types:
            layers = systems.option_layers(destination, entity_type)
            names = [option["name"] for _, layer in layers for option in systems.options_of(layer)]
            assert len(names) == len(set(names))


def test_a_bad_credential_is_refused_without_repeating_it() -> None:
    with pytest.raises(Invalid) as refused:
        systems.check_credential(STRIPE, {"apiKey": "sk_test_hushhush"})
    assert refused.value.field == "apiKey"
    assert "test key" in refused.value.message
    assert "hushhush" not in refused.value.message


def test_the_catalogue_describes_every_option_in_its_layer() -> None:
    catalogue = systems.catalogue(None, None)
    shared = {option["name"]: option for option in catalogue["globalConfigurationOptions"]}
    assert shared["accountIds"]["schema"]["type"] == "array"
    bill = catalogue["supportedEntities"]["Bill"]
    split = next(option for option in bill["entityConfigurationOptions"] if option["name"] == "splitUsageLines")
    assert split["schema"]["enum"] == ["BILL", "PRODUCT", "AGGREGATION", "LINE"]
    assert split["default"] == "LINE"
    stripe = next(each for each in bill["destinations"] if each["apiName"] == "STRIPE")
    assert stripe["authType"] == "STATIC_API_KEY"
    assert [option["name"] for option in stripe["authConfigOptions"] if option["secret"]] == ["apiKey"]
    assert all(option["description"] for option in stripe["destinationConfigOptions"])


def test_the_catalogue_can_be_narrowed_to_one_system() -> None:
    catalogue = systems.catalogue("stripe_test", "bill")
    names = [each["apiName"] for each in catalogue["supportedEntities"]["Bill"]["destinations"]]
    assert names == ["STRIPE_TEST"]
    assert systems.catalogue("stripe_test", "Account")["supportedEntities"] == {}


@pytest.mark.parametrize(
    ("variable", "settings"),
    [
        ("TOLLBRIDGE_VENDOR_URLS", Settings(vendor_urls={"STRIPE_TST": "http://127.0.0.1:1"})),
        ("TOLLBRIDGE_RATE_LIMITS", Settings(rate_limits={"STRIPE": "100", "STRIPE_TST": "1"})),
    ],
)
def test_a_setting_that_names_an_unknown_system_is_refused_with_the_near_one(variable: str, settings: Settings) -> None:
    with pytest.raises(Invalid, match=f"{variable} names the system .*STRIPE_TST") as refused:
        systems.check_settings(settings)
    assert (refused.value.hint, refused.value.field) == ("Did you mean STRIPE_TEST?", variable)
    systems.check_settings(Settings(rate_limits={"STRIPE": "100", "STRIPE_TEST": "1"}))
