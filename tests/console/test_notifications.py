"""Notification rules and outgoing webhooks in the Console."""

from __future__ import annotations

import pytest

from tests.console.conftest import Browser, Page, SignIn
from tollbridge.domain.access import Role


async def a_webhook(browser: Browser, name: str = "ERP") -> Page:
    page = await browser.open("/webhooks/new")
    return await browser.send(page, "Create webhook", name=name, url="http://127.0.0.1:4999/in")


async def a_rule(browser: Browser, name: str = "Big bills") -> Page:
    page = await browser.open("/rules/new?eventName=billing.bill.created")
    return await browser.send(page, "Create rule", name=name, code=name.lower(), calculation="new.billTotal > 1000")


async def test_a_rule_that_is_linked_to_a_webhook_opens_the_integration_that_this_makes(browser: Browser) -> None:
    await a_webhook(browser)
    rule = await a_rule(browser)
    details = await browser.send(rule, "Link")
    assert details.h1 == ["Big bills → ERP"]
    assert "CONNECTED" in details.text
    webhook = await browser.open((await browser.open("/webhooks")).links["ERP"])
    assert "Big bills → ERP" in webhook.text


async def test_the_link_can_be_made_and_undone_from_the_webhook_too(browser: Browser) -> None:
    await a_rule(browser)
    webhook = await a_webhook(browser)
    details = await browser.send(webhook, "Link")
    assert details.h1 == ["Big bills → ERP"]
    webhook = await browser.open(webhook.url.removeprefix("http://console"))
    unlinked = await browser.send(webhook, "Unlink")
    assert "Big bills → ERP was unlinked" in unlinked.text


async def test_a_calculation_that_cannot_be_read_is_shown_again_with_what_was_typed(browser: Browser) -> None:
    page = await browser.open("/rules/new?eventName=billing.bill.created")
    again = await browser.send(page, "Create rule", name="R", code="r", calculation="new.billTotl > 1")
    assert again.status == 400
    assert "Did you mean new.billTotal" in again.text
    assert again.form("Create rule").fields["calculation"] == "new.billTotl > 1"


async def test_a_calculation_is_tried_before_it_is_kept(browser: Browser) -> None:
    page = await browser.open("/rules/new?eventName=billing.bill.created")
    token = page.form("Create rule").fields["csrf"]
    for calculation, words in (("new.billTotal > 1", "It can be read."), ("new.billTotal >", "line 1")):
        answer = await browser.client.post(
            "/console/rules/try",
            data={"csrf": token, "calculation": calculation, "eventName": "billing.bill.created"},
        )
        assert words in answer.text


async def test_an_address_inside_the_network_is_refused_beside_its_field(browser: Browser) -> None:
    page = await browser.open("/webhooks/new")
    again = await browser.send(page, "Create webhook", name="X", url="http://169.254.169.254/latest")
    assert again.status == 400
    assert "169.254.169.254" in again.text
    assert 'aria-invalid="true"' in again.html


@pytest.mark.parametrize("typed", ["NaN", "--5", "1e999999", "9" * 5000, "five", "-1"])
async def test_what_is_no_number_or_too_large_a_one_is_refused_beside_its_field(browser: Browser, typed: str) -> None:
    page = await browser.open("/webhooks/new")
    again = await browser.send(page, "Create webhook", name="X", url="http://127.0.0.1:4999/in", concurrency=typed)
    assert again.status == 400
    assert "concurrency is " in again.text


async def test_a_form_of_another_version_or_of_none_that_is_a_number_clashes(browser: Browser) -> None:
    await a_webhook(browser)
    page = await browser.open((await browser.open("/webhooks")).links["ERP"])
    edit = await browser.open(page.links["Edit"].removeprefix("/console"))
    for version in ("99", "abc", "9" * 5000):
        again = await browser.send(edit, "Update webhook", name="Other", version=version)
        assert again.status == 400
        assert "changed meanwhile" in again.text


async def test_a_secret_that_was_typed_is_never_shown(browser: Browser) -> None:
    page = await browser.open("/webhooks/new")
    again = await browser.send(page, "Create webhook", name="X", url="ftp://x", secret__secret="hunter2hunter2")
    assert again.status == 400
    assert "hunter2" not in again.html
    made = await browser.send(again, "Create webhook", url="http://127.0.0.1:4999/", secret__secret="hunter2hunter2")
    assert made.h1 == ["X"]
    assert "hunter2" not in made.html


async def test_a_webhook_is_brought_back_and_stopped_by_one_button_each(browser: Browser) -> None:
    webhook = await a_webhook(browser)
    path = webhook.url.removeprefix("http://console")
    token = webhook.form("Send test").fields["csrf"]
    await browser.client.post(f"{path}/bring-back", data={"csrf": token})
    page = await browser.open(path)
    assert "It is being brought back: testing" in page.text
    stopped = await browser.send(page, "Stop")
    assert "It is stopped" in stopped.text
    assert stopped.form("Bring back")


async def test_a_test_is_sent_by_a_button(browser: Browser) -> None:
    run = await browser.send(await a_webhook(browser), "Send test")
    assert "A signed test is on its way." in run.text


async def test_a_viewer_sees_no_button_that_would_be_refused(sign_in: SignIn) -> None:
    browser = await sign_in(Role.VIEWER)
    for path in ("/rules", "/webhooks", "/integrations", "/integrations/stripe_test"):
        page = await browser.open(path)
        assert page.status == 200
        assert not [word for word in ("New rule", "New webhook", "Configure new") if word in page.text]
    assert (await browser.open("/rules/new")).status == 403
    assert (await browser.open("/credentials")).status == 403
