"""Connecting credentials at the vendor, and the lease under which one worker alone asks for a token. No vendor here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.api.conftest import parts as parts
from tests.api.conftest import settings as settings
from tests.oauth.connector import installed
from tollbridge.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from tollbridge.services import clock, credentials, oauth, organizations, work
from tollbridge.services.caller import Caller
from tollbridge.services.credentials import Saved
from tollbridge.services.oauth import Held, Leased, Refused
from tollbridge.services.parts import Parts
from tollbridge.services.sealing import open_fields

BODY = {"destination": "strongbox", "name": "Books", "clientId": "app", "clientSecret": "hush"}
LASTS = timedelta(seconds=20)


@pytest.fixture(autouse=True)
def connector(tmp_path: Path) -> Iterator[None]:
    with installed(tmp_path):
        yield


@pytest.fixture
async def caller(parts: Parts) -> Caller:
    await organizations.create(parts.db, "Acme", "o1")
    await work.register_worker(parts.db, "w1", "here", 1, "0", clock.now())
    return Caller("o1", "USER_u1")


def state_of(saved: Saved) -> str:
    assert saved.begun is not None
    return dict(parse_qsl(urlsplit(saved.begun.url).query))["state"]


async def came_back(parts: Parts, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A credential whose person is back with a code that nobody has redeemed yet."""
    monkeypatch.setattr(oauth, "CHECK_PATIENCE", timedelta())
    saved = await credentials.create(parts, caller, BODY)
    await oauth.finish(parts, caller, {"state": state_of(saved), "code": "c1", "realmId": "r1"})
    return caller.org_id, saved.record.id


async def ask(parts: Parts, key: tuple[str, str], after: timedelta = timedelta()) -> Held | Refused | Leased | None:
    return await oauth.lease(parts.db, parts.vault, key, True, None, clock.now() + after, LASTS)


def grant(number: int) -> dict[str, object]:
    return {"accessToken": f"at{number}", "refreshToken": f"rt{number}", "extra": {}}


async def test_a_new_credential_waits_and_says_where_to_go(parts: Parts, caller: Caller) -> None:
    saved = await credentials.create(parts, caller, BODY)
    assert saved.record["status"] == "WAITING"
    assert saved.begun is not None
    asked = dict(parse_qsl(urlsplit(saved.begun.url).query))
    assert saved.begun.url.startswith("https://login.strongbox.example/authorize?")
    assert asked["scope"] == "offline_access invoices"
    assert asked["redirect_uri"] == oauth.redirect_uri(parts)
    assert asked["code_challenge_method"] == "S256"
    assert "hush" not in saved.begun.url
    with pytest.raises(Conflict, match="Nobody has connected"):
        await credentials.check(parts, caller, saved.record.id)
    with pytest.raises(Conflict, match="replaced with that"):
        await credentials.update(parts, caller, saved.record.id, BODY)


async def test_a_state_is_good_once_and_for_who_began(parts: Parts, caller: Caller) -> None:
    saved = await credentials.create(parts, caller, BODY)
    state = state_of(saved)
    with pytest.raises(Forbidden, match="Another person"):
        await oauth.finish(parts, Caller("o1", "USER_u2"), {"state": state, "code": "c", "realmId": "r"})
    with pytest.raises(Invalid, match="never begun here"):
        await oauth.finish(parts, Caller("o2", "USER_u1"), {"state": state, "code": "c", "realmId": "r"})
    with pytest.raises(Conflict, match="came back without realmId"):
        await oauth.finish(parts, caller, {"state": state, "code": "c"})
    with pytest.raises(Conflict, match="did not let Tollbridge in: access_denied"):
        await oauth.finish(parts, caller, {"state": state, "error": "access_denied"})


async def test_without_a_worker_the_person_is_told_so(parts: Parts, caller: Caller) -> None:
    saved = await credentials.create(parts, caller, BODY)
    await work.leave(parts.db, "w1")
    with pytest.raises(Unavailable):
        await oauth.finish(parts, caller, {"state": state_of(saved), "code": "c", "realmId": "r"})


async def test_what_is_not_finished_in_ten_minutes_is_removed(parts: Parts, caller: Caller) -> None:
    saved = await credentials.create(parts, caller, BODY)
    assert await oauth.forget(parts.db, clock.now() + timedelta(minutes=9)) == 0
    assert await oauth.forget(parts.db, clock.now() + timedelta(minutes=11)) == 1
    with pytest.raises(NotFound):
        await credentials.retrieve(parts, caller, saved.record.id)


async def test_a_credential_that_was_just_made_is_not_removed_before_its_redirect_begins(
    parts: Parts, caller: Caller
) -> None:
    saved = await credentials.create(parts, caller, BODY)
    await parts.db.pool.execute("DELETE FROM oauth_redirects")
    assert await oauth.forget(parts.db, clock.now()) == 0
    await credentials.retrieve(parts, caller, saved.record.id)
    assert await oauth.forget(parts.db, clock.now() + timedelta(minutes=11)) == 1


async def test_one_worker_alone_gets_the_lease_and_the_others_read_what_it_stored(
    parts: Parts, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await came_back(parts, caller, monkeypatch)
    leased = await ask(parts, key)
    assert isinstance(leased, Leased)
    assert (leased.grant["code"], leased.grant["extra"]) == ("c1", {"realmId": "r1"})
    assert await ask(parts, key) is None
    expires_at = clock.now() + timedelta(days=60)
    sealed = await oauth.keep(parts.db, parts.vault, leased, grant(1), expires_at)
    held = await ask(parts, key)
    assert isinstance(held, Held)
    assert (held.token.access, held.sealed) == ("at1", sealed)


async def test_a_worker_that_lost_its_lease_stores_nothing(
    parts: Parts, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await came_back(parts, caller, monkeypatch)
    slow = await ask(parts, key)
    assert isinstance(slow, Leased)
    quick = await ask(parts, key, after=LASTS * 2)
    assert isinstance(quick, Leased)
    assert await oauth.keep(parts.db, parts.vault, quick, grant(2), None) is not None
    assert await oauth.keep(parts.db, parts.vault, slow, grant(1), None) is None
    held = await ask(parts, key)
    assert isinstance(held, Held)
    assert held.token.access == "at2"


async def test_what_an_exchange_brings_after_the_person_connected_anew_is_not_kept(
    parts: Parts, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await came_back(parts, caller, monkeypatch)
    leased = await ask(parts, key)
    assert isinstance(leased, Leased)
    begun = await oauth.begin(parts, caller, key[1])
    state = dict(parse_qsl(urlsplit(begun.url).query))["state"]
    await oauth.finish(parts, caller, {"state": state, "code": "c2", "realmId": "r1"})
    assert await oauth.keep(parts.db, parts.vault, leased, grant(1), None) is None
    again = await ask(parts, key)
    assert isinstance(again, Leased)
    assert again.grant["code"] == "c2"


async def test_tokens_lie_sealed_and_are_no_field_of_the_credential(
    parts: Parts, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await came_back(parts, caller, monkeypatch)
    async with parts.db.hot() as connection:
        sealed = await connection.fetchval("SELECT candidate FROM credentials WHERE id = $1", key[1])
    assert b"c1" not in sealed
    fields = open_fields(parts.vault, key[1], sealed)
    assert (fields["clientId"], fields["oauth"]["code"]) == ("app", "c1")
