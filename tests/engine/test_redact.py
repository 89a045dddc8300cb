from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import BaseModel, SecretStr

from tollbridge.domain.flows import Reply, Request
from tollbridge.engine.redact import HIDDEN, Redactor, nested, secrets_of

SECRET = "rk_live_abcdefgh"
LONGEST_BODY = 2000


def redactor() -> Redactor:
    return Redactor(frozenset({"client_secret"}), [SECRET, "ab"], LONGEST_BODY)


def test_a_form_is_shown_as_nested_values() -> None:
    pairs = (("lines[0][amount]", "1"), ("lines[0][tags][]", "x"), ("auto_advance", "false"))
    shown = redactor().request(Request("POST", "/v1/x", form=pairs), "key-1")
    assert shown == {
        "method": "POST",
        "path": "/v1/x",
        "form": {"lines": {"0": {"amount": "1", "tags": {"": "x"}}}, "auto_advance": "false"},
        "idempotencyKey": "key-1",
    }


def test_a_name_that_is_both_value_and_branch_loses_neither() -> None:
    assert nested([("a", "1"), ("a[b]", "2")]) == {"a": {"": "1", "b": "2"}}


def test_headers_with_credentials_are_never_shown() -> None:
    request = Request("GET", "/v1/x", headers=(("Authorization", f"Bearer {SECRET}"),))
    assert SECRET not in repr(redactor().request(request, None))


def test_fields_that_a_connector_hides_are_hidden_at_any_depth() -> None:
    reply = Reply.of({"invoice": [{"client_secret": {"a": "b"}, "id": "in_1"}]})
    assert redactor().reply(reply)["json"] == {"invoice": [{"client_secret": HIDDEN, "id": "in_1"}]}


def test_a_secret_that_the_vendor_repeats_is_hidden_wherever_it_stands() -> None:
    reply = Reply(
        401,
        {"content-type": "text/plain", "x-request-id": SECRET, "set-cookie": "a=b"},
        f"the key {SECRET} is wrong".encode(),
    )
    assert redactor().reply(reply) == {
        "headers": {"content-type": "text/plain", "x-request-id": HIDDEN},
        "text": f"the key {HIDDEN} is wrong",
    }
    assert redactor().reply(Reply.of({SECRET: [SECRET]}))["json"] == {HIDDEN: [HIDDEN]}


def test_amounts_stay_exact() -> None:
    assert redactor().reply(Reply.of({"amount": Decimal("0.10")}))["json"] == {"amount": Decimal("0.10")}


def test_of_a_long_body_the_beginning_is_kept_and_its_length_told() -> None:
    fits = {"text": "x" * (LONGEST_BODY - len('{"text":""}'))}
    assert redactor().reply(Reply.of(fits))["json"] == fits
    shown = redactor().reply(Reply.of({"text": "x" * LONGEST_BODY}))["json"]
    assert shown.startswith('{"text":"xxx')
    assert shown.endswith(f"… ({LONGEST_BODY + 11} characters in all)")
    assert len(shown) < LONGEST_BODY + 100


def test_what_is_no_text_is_shown_as_far_as_the_database_can_keep_it() -> None:
    assert redactor().reply(Reply(200, {}, b"\xff\x00a"))["text"] == "��a"


def test_the_secrets_of_a_credential_are_its_secret_fields() -> None:
    class Credential(BaseModel):
        key: SecretStr
        account: str
        other: SecretStr | None = None

    assert secrets_of(Credential(key=SecretStr(SECRET), account="acct_1")) == [SECRET]


def test_a_secret_that_json_writes_with_escapes_is_hidden_too() -> None:
    secret = 'pass"word\\1\n'
    shown = Redactor(frozenset(), [secret], LONGEST_BODY).reply(Reply.of({"said": f"<{secret}>"}))
    assert shown["json"] == {"said": f"<{HIDDEN}>"}


@pytest.mark.parametrize("body", [rb'{"a":"\u0000"}', rb'{"a":"\ud800"}'])
def test_what_the_database_cannot_keep_is_replaced(body: bytes) -> None:
    assert redactor().reply(Reply(200, {}, body))["json"] == {"a": "�"}
