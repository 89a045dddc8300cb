"""Signatures of outgoing webhooks, verified with the library that receivers use."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tollbridge.connectors.base import Sending
from tollbridge.connectors.webhook.config import WebhookCredential
from tollbridge.connectors.webhook.signature import authorize
from tollbridge.domain.flows import Request

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes....").decode()
OLDER = "whsec_" + base64.b64encode(b"the one before it, also 32 bytes").decode()
BODY = '{"type":"billing.bill.created","note":"Größe ✓"}'.encode()
POST = Request("POST", "https://hooks.example.com/in", body=BODY, headers=(("Content-Type", "application/json"),))
CREDENTIAL = WebhookCredential(api_key="our-key", secret=SecretStr(SECRET))


def headers_of(credential: WebhookCredential, at: datetime | None = None, message_id: str = "msg_1") -> dict[str, str]:
    return dict(authorize(POST, credential, Sending(message_id, at or datetime.now(UTC))).headers)


def test_a_receiver_verifies_what_was_signed() -> None:
    assert Webhook(SECRET).verify(BODY, headers_of(CREDENTIAL))["type"] == "billing.bill.created"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_a_receiver_refuses_another_id_or_moment(name: str) -> None:
    headers = headers_of(CREDENTIAL)
    spoilt = headers | {name: headers[name][:-1] + ("1" if headers[name][-1] != "1" else "2")}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, spoilt)


def test_a_receiver_refuses_another_body_or_secret() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", headers_of(CREDENTIAL))
    with pytest.raises(WebhookVerificationError):
        Webhook(OLDER).verify(BODY, headers_of(CREDENTIAL))


def test_each_attempt_has_the_same_id_and_a_signature_of_its_own_moment() -> None:
    now = datetime.now(UTC)
    once, again = (headers_of(CREDENTIAL, at) for at in (now, now + timedelta(seconds=2)))
    assert once["webhook-id"] == again["webhook-id"] == "msg_1"
    assert int(again["webhook-timestamp"]) == int(once["webhook-timestamp"]) + 2
    assert once["webhook-signature"] != again["webhook-signature"]
    for headers in (once, again):
        Webhook(SECRET).verify(BODY, headers)


def test_the_api_key_has_a_header_of_its_own_and_the_secret_goes_nowhere() -> None:
    sent = authorize(POST, CREDENTIAL, Sending("msg_1", datetime.now(UTC)))
    assert dict(sent.headers)["webhook-api-key"] == "our-key"
    assert dict(sent.headers)["Content-Type"] == "application/json"
    assert SECRET not in repr(sent)
    assert SECRET.removeprefix("whsec_") not in repr(sent)
    assert (sent.path, sent.body) == (POST.path, BODY)


def test_while_a_secret_is_changed_either_verifies() -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    changing = CREDENTIAL.model_copy(update={"previous_secret": SecretStr(OLDER), "previous_until": until})
    headers = headers_of(changing)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OLDER):
        Webhook(secret).verify(BODY, headers)


def test_when_the_time_is_up_only_the_new_secret_signs() -> None:
    now = datetime.now(UTC)
    changed = CREDENTIAL.model_copy(update={"previous_secret": SecretStr(OLDER), "previous_until": now})
    headers = headers_of(changed, now)
    assert len(headers["webhook-signature"].split(" ")) == 1
    Webhook(SECRET).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLDER).verify(BODY, headers)
    assert len(headers_of(changed, now - timedelta(microseconds=1))["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize("secret", ["a plain secret", "schlüssel", "whsec_not base64!", "whsec_AAA"])
def test_a_secret_in_another_form_signs_with_its_text(secret: str) -> None:
    credential = CREDENTIAL.model_copy(update={"secret": SecretStr(secret)})
    as_base64 = base64.b64encode(secret.encode()).decode()
    Webhook(as_base64).verify(BODY, headers_of(credential))


def test_no_secret_shows_in_a_credential() -> None:
    changing = CREDENTIAL.model_copy(update={"previous_secret": SecretStr(OLDER)})
    shown = f"{changing!r} {changing} {changing.model_dump_json(by_alias=True)}"
    assert SECRET not in shown
    assert OLDER not in shown


def test_the_request_that_is_signed_is_not_changed() -> None:
    before = replace(POST)
    authorize(POST, CREDENTIAL, Sending("msg_1", datetime.now(UTC)))
    assert before == POST
