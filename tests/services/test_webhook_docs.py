"""docs/how-to/webhooks.md tells what is really sent, and its snippets verify it."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks import WebhookVerificationError

from tests.services.notifying_world import SECRET, NotifyingWorld
from tollbridge.connectors.base import Sending
from tollbridge.connectors.webhook.config import WebhookCredential
from tollbridge.connectors.webhook.signature import authorize
from tollbridge.domain import json_text
from tollbridge.domain.flows import Request
from tollbridge.store.db import Database

PAGE = (Path(__file__).parents[2] / "docs/how-to/webhooks.md").read_text(encoding="utf-8")
OTHER = "whsec_" + base64.b64encode(b"another secret of somebody else").decode()


def snippet(language: str, containing: str = "") -> str:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if containing in text]
    assert len(found) == 1, (language, containing)
    return str(found[0])


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers with which the body is sent now."""
    credential = WebhookCredential(api_key="key", secret=SecretStr(secret))
    request = Request("POST", "https://erp.example.com/hooks", body=body)
    return dict(authorize(request, credential, Sending("msg_1", datetime.now(UTC))).headers)


async def test_the_message_that_is_shown_is_the_one_that_is_sent(db: Database) -> None:
    shown = json_text.parse(snippet("json"))
    world = NotifyingWorld(db)
    await world.begin()
    await world.add_webhook()
    await world.add_rule()
    await world.link()
    new = {name: value for name, value in shown["new"].items() if name not in ("id", "accountId")}
    await world.fire(shown["accountId"], **new)
    (claimed,) = await world.claim()
    sent = json_text.parse(claimed.notification.body)
    assert sent["id"] == claimed.notification.message_id
    assert list(sent) == list(shown)
    assert list(sent["event"]) == list(shown["event"])
    fresh = {"id": sent["id"], "event": {**shown["event"], "id": sent["event"]["id"]}}
    assert sent == shown | fresh
    assert sent["new"]["billTotal"] == Decimal("1250.50")


def test_the_python_snippet_takes_what_was_signed_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec(compile(snippet("python"), "docs/how-to/webhooks.md", "exec"), names)
    receive: Callable[[str, dict[str, str], bytes], Any] = names["receive"]
    body = snippet("json").encode()
    assert receive(SECRET, signed(body), body)["type"] == "billing.bill.created"
    for secret, headers, got in (
        (OTHER, signed(body), body),
        (SECRET, signed(body), body + b" "),
        (SECRET, signed(body) | {"webhook-timestamp": "1000"}, body),
    ):
        with pytest.raises(WebhookVerificationError):
            receive(secret, headers, got)


@pytest.mark.parametrize(
    ("secret", "spoilt", "said"),
    [(SECRET, b"", "verified"), (OTHER, b"", "not signed by this secret"), (SECRET, b" ", "not signed by this secret")],
)
def test_the_openssl_snippet_verifies_a_message_that_was_kept(
    tmp_path: Path, secret: str, spoilt: bytes, said: str
) -> None:
    body = snippet("json").encode()
    headers = signed(body)
    (tmp_path / "body.json").write_bytes(body + spoilt)
    given = {
        "WEBHOOK_SECRET": secret,
        "WEBHOOK_ID": headers["webhook-id"],
        "WEBHOOK_TIMESTAMP": headers["webhook-timestamp"],
        "WEBHOOK_SIGNATURE": "v1,b3RoZXI= " + headers["webhook-signature"],
    }
    done = subprocess.run(
        ["bash", "-c", snippet("sh", "openssl")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=os.environ | given,
    )
    assert (done.stdout.strip(), done.returncode) == (said, 0 if said == "verified" else 1), done.stderr


def test_a_secret_in_another_form_is_verified_as_the_page_says() -> None:
    secret = "any text"
    names: dict[str, Any] = {}
    exec(compile(snippet("python"), "docs/how-to/webhooks.md", "exec"), names)
    done = subprocess.run(
        ["bash", "-c", 'printf %s "$WEBHOOK_SECRET" | base64 -w0'],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"WEBHOOK_SECRET": secret},
    )
    assert '`printf %s "$WEBHOOK_SECRET" | base64 -w0`' in PAGE
    names["receive"](done.stdout, signed(b"{}", secret), b"{}")
