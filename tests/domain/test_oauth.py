"""What a vendor's token endpoint answers, and what follows for the grant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.oauth.connector import connector
from tollbridge.domain import json_text
from tollbridge.domain.choices import Thing
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Reply
from tollbridge.domain.oauth import FINAL, only_tenant, read_reply, tenant_of, with_tenant

NOW = datetime(2026, 11, 1, tzinfo=UTC)
GRANT = {"refreshToken": "r-1", "accessToken": "a-1", "extra": {}}


def answered(status: int, **body: object) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json_text.dump(body).encode())


@pytest.mark.parametrize(
    ("status", "error", "code", "final"),
    [
        (400, "invalid_grant", "oauth.grant_refused", True),
        (401, "invalid_client", "oauth.client_refused", False),
        (400, "temporarily_unavailable", "oauth.unavailable", False),
        (403, "Forbidden", "oauth.unavailable", False),
    ],
)
def test_only_what_is_said_of_the_grant_ends_it(status: int, error: str, code: str, final: bool) -> None:
    assert connector.oauth is not None
    found = read_reply(connector.oauth, "Strongbox", GRANT, answered(status, error=error), NOW)
    assert isinstance(found, Fault)
    assert (found.code, found.code in FINAL) == (code, final)


@pytest.mark.parametrize("lifetime", [1e12, "1e300", 3600])
def test_a_token_that_lives_for_ever_is_kept_like_any_other(lifetime: object) -> None:
    assert connector.oauth is not None
    reply = answered(200, access_token="a-2", refresh_token="r-2", expires_in=lifetime)
    found = read_reply(connector.oauth, "Strongbox", GRANT, reply, NOW)
    assert not isinstance(found, Fault)
    assert found[0]["refreshToken"] == "r-2"
    assert datetime.fromisoformat(found[0]["refreshAt"]) > NOW + timedelta(minutes=30)


def test_a_tenant_needs_no_choice_where_it_is_the_only_one_or_the_one_before() -> None:
    one, two = Thing("1", "One"), Thing("2", "Two")
    assert only_tenant([one], None) == one
    assert only_tenant([one, two], None) is None
    assert only_tenant([one, two], "2") == two
    # The check refuses it, as it opens another than before.
    assert only_tenant([one, two], "3") == one


def test_the_tenant_stands_beside_what_else_is_kept_of_a_grant() -> None:
    chosen = with_tenant({"accessToken": "a", "extra": {"realmId": "7"}}, "2")
    assert chosen == {"accessToken": "a", "extra": {"realmId": "7", "tenantId": "2"}}
    assert tenant_of(chosen) == "2"
    assert tenant_of(None) is None
