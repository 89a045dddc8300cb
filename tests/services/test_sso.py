"""Single sign-on against a provider that speaks real HTTP, and against what an attacker would send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.services.provider import CLIENT_ID, CLIENT_SECRET, StandInProvider, new_key, running_provider
from tollbridge.domain.access import Role
from tollbridge.domain.errors import Conflict, Forbidden, Invalid, Unauthenticated, Unavailable
from tollbridge.services import organizations, users
from tollbridge.services.caller import Caller
from tollbridge.services.sso import Finished, SingleSignOn
from tollbridge.settings import Settings
from tollbridge.store.db import Database
from tollbridge.wiring import connect

ROLES = {"Billing admins": "administrator", "Accounting": "finance"}
JANE = {"email": "jane@acme.example", "firstName": "Jane", "lastName": "Roe", "role": "viewer"}
OWNER = Caller("org", "SYSTEM")
HERE = "192.0.2.1"


@pytest.fixture
async def provider() -> AsyncIterator[StandInProvider]:
    async with running_provider() as found:
        yield found


@pytest.fixture
def settings(tmp_path: Path, provider: StandInProvider, database_url: str) -> Settings:
    return Settings(
        home=tmp_path,
        database_url=database_url,
        sso_issuer=provider.issuer,
        sso_client_id=CLIENT_ID,
        sso_client_secret=CLIENT_SECRET,
        sso_roles=ROLES,
    )


@pytest.fixture
async def sso(db: Database, settings: Settings) -> SingleSignOn:
    await organizations.create(db, "Acme", "org")
    return made(db, settings)


def made(db: Database, settings: Settings) -> SingleSignOn:
    found = connect(settings, db).sso
    assert found is not None
    return found


async def come_in(sso: SingleSignOn, provider: StandInProvider, **claims: Any) -> Finished:
    provider.claims = claims
    begun = await sso.begin("/console/runs")
    state, code = provider.consent(begun.url)
    return await sso.finish(state, code, begun.browser, HERE)


async def test_somebody_with_a_group_comes_in_without_an_invitation(
    sso: SingleSignOn, provider: StandInProvider, db: Database, settings: Settings
) -> None:
    finished = await come_in(sso, provider, groups=["Accounting", "Everyone", "Billing admins"])
    visitor = await connect(settings, db).sessions.visitor(finished.token)
    assert (visitor.caller.role, visitor.caller.org_id) == (Role.ADMINISTRATOR, "org")
    assert (visitor.name, visitor.mail, visitor.way) == ("Jane Roe", "jane@acme.example", "sso")
    assert finished.back == "/console/runs"


async def test_groups_decide_about_the_role_each_time(
    sso: SingleSignOn, provider: StandInProvider, db: Database, settings: Settings
) -> None:
    sessions = connect(settings, db).sessions
    first = await come_in(sso, provider, groups=["Billing admins"])
    second = await come_in(sso, provider, groups="Accounting", email="other@acme.example")
    assert (await sessions.who(second.token)).role is Role.FINANCE
    assert (await sessions.who(first.token)).principal == (await sessions.who(second.token)).principal
    with pytest.raises(Forbidden, match="None of your groups"):
        await come_in(sso, provider, groups=["Everyone"])


async def test_without_groups_only_who_was_invited_comes_in_and_keeps_their_role(
    sso: SingleSignOn, provider: StandInProvider, db: Database, settings: Settings
) -> None:
    plain = made(db, replace(settings, sso_roles={}))
    with pytest.raises(Forbidden, match="Nobody was invited"):
        await come_in(plain, provider)
    user = await users.create(db, OWNER, JANE)
    finished = await come_in(plain, provider)
    assert await connect(settings, db).sessions.who(finished.token) == Caller("org", f"USER_{user.id}", Role.VIEWER)


@pytest.mark.parametrize("verified", [False, None, "true"])
async def test_a_mail_address_that_is_not_verified_opens_nobody_s_account(
    sso: SingleSignOn, provider: StandInProvider, db: Database, verified: Any
) -> None:
    await users.create(db, OWNER, JANE)
    with pytest.raises(Forbidden, match="did not verify"):
        await come_in(sso, provider, groups=["Accounting"], email_verified=verified)


async def test_another_person_of_the_provider_does_not_get_a_known_mail_address(
    sso: SingleSignOn, provider: StandInProvider
) -> None:
    await come_in(sso, provider, groups=["Accounting"])
    with pytest.raises(Forbidden, match="another person"):
        await come_in(sso, provider, groups=["Accounting"], sub="mallory")


async def test_ended_access_counts(sso: SingleSignOn, provider: StandInProvider, db: Database) -> None:
    await come_in(sso, provider, groups=["Accounting"])
    await db.pool.execute("UPDATE users SET end_access = now()")
    with pytest.raises(Forbidden, match="ended"):
        await come_in(sso, provider, groups=["Accounting"])


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another client"},
        {"aud": [CLIENT_ID, "another client"], "azp": "another client"},
        {"iss": "https://another.example"},
        {"nonce": "another sign-in"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
    ],
)
async def test_an_id_token_that_is_not_right_is_refused(
    sso: SingleSignOn, provider: StandInProvider, db: Database, claims: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated, match="not right"):
        await come_in(sso, provider, groups=["Accounting"], **claims)
    assert await db.pool.fetchval("SELECT count(*) FROM users") == 0


async def test_a_signature_by_another_key_is_refused(sso: SingleSignOn, provider: StandInProvider) -> None:
    provider.key = new_key()
    with pytest.raises(Unauthenticated, match="not right"):
        await come_in(sso, provider, groups=["Accounting"])
    provider.kid = "unknown"
    with pytest.raises(Unauthenticated, match="no key of the provider"):
        await come_in(sso, provider, groups=["Accounting"])


@pytest.mark.parametrize(("algorithm", "key"), [("none", ""), ("HS256", "a secret of the attacker of some length")])
async def test_a_signature_that_anyone_could_make_is_refused(
    sso: SingleSignOn, provider: StandInProvider, algorithm: str, key: str
) -> None:
    provider.algorithm, provider.key = algorithm, key
    with pytest.raises(Unauthenticated, match="not right"):
        await come_in(sso, provider, groups=["Accounting"])


async def test_the_provider_may_change_its_key(
    sso: SingleSignOn, provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await come_in(sso, provider, groups=["Accounting"])
    provider.key, provider.kid = new_key(), "2"
    provider.published = {"2": provider.key}
    with pytest.raises(Unauthenticated):
        await come_in(sso, provider, groups=["Accounting"])
    assert provider.asked_for_keys == 1, "anyone can send a token: keys are not asked for each time"
    monkeypatch.setattr("tollbridge.outbound.openid.KEYS_AT_MOST_EVERY", 0.0)
    await come_in(sso, provider, groups=["Accounting"])


async def test_a_sign_in_is_finished_once_in_the_browser_where_it_began(
    sso: SingleSignOn, provider: StandInProvider
) -> None:
    provider.claims = {"groups": ["Accounting"]}
    begun, other = await sso.begin(), await sso.begin()
    state, code = provider.consent(begun.url)
    with pytest.raises(Unauthenticated, match="never begun here"):
        await sso.finish("made up", code, begun.browser, HERE)
    assert (await sso.finish(state, code, begun.browser, HERE)).back == "/console"
    with pytest.raises(Unauthenticated, match="finished already"):
        await sso.finish(state, code, begun.browser, HERE)
    state, code = provider.consent(other.url)
    with pytest.raises(Unauthenticated, match="another browser"):
        await sso.finish(state, code, begun.browser, HERE)


async def test_a_code_works_once_and_only_with_the_verifier_of_its_own_sign_in(
    sso: SingleSignOn, provider: StandInProvider
) -> None:
    first, second, third = [await sso.begin() for _ in range(3)]
    state, code = provider.consent(first.url)
    provider.claims = {"groups": ["Accounting"]}
    await sso.finish(state, code, first.browser, HERE)
    state, stolen = provider.consent(second.url)
    with pytest.raises(Unauthenticated, match="invalid_grant"):
        await sso.finish(state, code, second.browser, HERE)
    assert stolen in provider.codes
    state, _ = provider.consent(third.url)
    with pytest.raises(Unauthenticated, match="invalid_grant"):
        await sso.finish(state, stolen, third.browser, HERE)


async def test_a_sign_in_that_took_too_long_is_refused(
    sso: SingleSignOn, provider: StandInProvider, db: Database
) -> None:
    begun = await sso.begin()
    state, code = provider.consent(begun.url)
    await db.pool.execute("UPDATE sso_sign_ins SET expires_at = now()")
    with pytest.raises(Unauthenticated, match="too long"):
        await sso.finish(state, code, begun.browser, HERE)


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/\\evil.example", ""])
async def test_nobody_is_led_elsewhere_after_signing_in(
    sso: SingleSignOn, provider: StandInProvider, back: str
) -> None:
    provider.claims = {"groups": ["Accounting"]}
    begun = await sso.begin(back)
    state, code = provider.consent(begun.url)
    assert (await sso.finish(state, code, begun.browser, HERE)).back == "/console"


async def test_the_organization_is_the_only_one_or_the_one_that_is_set(
    sso: SingleSignOn, provider: StandInProvider, db: Database, settings: Settings
) -> None:
    await organizations.create(db, "Other", "other")
    with pytest.raises(Conflict, match="ORGANIZATION"):
        await come_in(sso, provider, groups=["Accounting"])
    chosen = made(db, replace(settings, sso_organization="other"))
    finished = await come_in(chosen, provider, groups=["Accounting"])
    assert (await connect(settings, db).sessions.who(finished.token)).org_id == "other"


async def test_a_provider_that_is_not_there_or_not_the_one_is_told(
    sso: SingleSignOn, db: Database, settings: Settings, provider: StandInProvider
) -> None:
    with pytest.raises(Unavailable, match="does not accept connections"):
        await made(db, replace(settings, sso_issuer="http://127.0.0.1:1")).begin()
    with pytest.raises(Unavailable, match="no https"):
        await made(db, replace(settings, sso_issuer="http://provider.example")).begin()
    provider.issuer, address = "https://another.example", provider.issuer
    with pytest.raises(Unavailable, match="calls itself"):
        await made(db, replace(settings, sso_issuer=address)).begin()


def test_a_role_that_is_none_is_refused_before_anything_starts(db: Database, settings: Settings) -> None:
    for role in ("boss", "source"):
        with pytest.raises(Invalid, match="SSO_ROLES"):
            made(db, replace(settings, sso_roles={"Staff": role}))


def test_without_a_provider_there_is_no_single_sign_on(db: Database, settings: Settings) -> None:
    assert connect(replace(settings, sso_issuer=""), db).sso is None
