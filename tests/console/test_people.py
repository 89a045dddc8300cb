"""Users, API keys, one's own account, and the audit log."""

from __future__ import annotations

import re

import pytest

from tests.console.conftest import Browser, Page, SignIn
from tollbridge.domain.access import Role
from tollbridge.services import users
from tollbridge.services.caller import Caller
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts

GOOD, BETTER = "correct horse battery staple", "seven wet dogs in a lift"


async def invited(browser: Browser) -> tuple[Page, str]:
    """The page that shows the link of an invitation once, and the id of the user."""
    page = await browser.open("/users/invite")
    shown = await browser.send(
        page, "Make the invitation", email="Jane@acme.example", firstName="Jane", lastName="Roe", role="finance"
    )
    return shown, shown.links["I have it: go on"].rpartition("/")[2]


def link_on(page: Page) -> str:
    (found,) = set(re.findall(r"/console/links/[\w-]+", page.html))
    return str(found)


async def test_an_invitation_shows_its_link_once_and_lets_somebody_in(browser: Browser, parts: Parts) -> None:
    shown, id = await invited(browser)
    assert shown.h1 == ["Invitation for Jane Roe"]
    link = link_on(shown)
    user = await browser.open(f"/users/{id}")
    assert "Invited" in user.text
    assert link not in user.html
    door = await browser.open(link)
    await browser.send(door, "Set the password and sign in", secret__password=GOOD, secret__repeated=GOOD)
    me = await browser.open("/account")
    assert "jane@acme.example" in me.text
    assert "Finance: read all, approve bills" in me.text


async def test_who_never_came_gets_another_invitation_and_everybody_else_a_new_password(browser: Browser) -> None:
    shown, id = await invited(browser)
    again = await browser.send(await browser.open(f"/users/{id}"), "Make another invitation")
    assert again.h1 == ["Invitation for Jane Roe"]
    assert link_on(again) != link_on(shown)
    assert (await browser.open(link_on(shown))).status == 404
    me = next(path for words, path in (await browser.open("/users")).links.items() if words == "Ada Bill")
    reset = await browser.send(await browser.open(me), "Make a link for a new password")
    assert reset.h1 == ["A new password for Ada Bill"]


async def test_an_invitation_that_is_refused_keeps_what_was_typed(browser: Browser) -> None:
    await invited(browser)
    page = await browser.open("/users/invite")
    again = await browser.send(
        page, "Make the invitation", email="ada", firstName="Jane", lastName="Roe", role="operator"
    )
    assert again.status == 400
    form = again.form("Make the invitation")
    assert (form.fields["firstName"], form.fields["role"]) == ("Jane", "operator")
    assert "Go to the field" in again.links


async def test_a_user_gets_another_role_and_an_end_of_access(browser: Browser) -> None:
    _, id = await invited(browser)
    page = await browser.open(f"/users/{id}")
    page = await browser.send(page, "Save", role="operator", dtEndAccess="2020-01-01")
    assert "The user was changed." in page.text
    assert "Ended" in page.text
    page = await browser.send(page, "Save", dtEndAccess="")
    assert "Invited" in page.text
    assert page.form("Save").fields["role"] == "operator"
    stale = await browser.send(page, "Save", version="1", firstName="Joan")
    assert stale.status == 409


async def test_an_end_of_access_that_nobody_touched_stays_to_the_minute(
    browser: Browser, parts: Parts, organization: NewOrganization
) -> None:
    _, id = await invited(browser)
    caller = Caller(organization.org_id, "SYSTEM")
    await users.update(parts.db, caller, id, {"dtEndAccess": "2099-05-01T13:45:00Z"})
    await browser.send(await browser.open(f"/users/{id}"), "Save", firstName="Joan")
    user = await users.retrieve(parts.db, caller, id)
    assert (user.body["firstName"], user.body["dtEndAccess"]) == ("Joan", "2099-05-01T13:45:00Z")


async def test_the_last_administrator_cannot_leave(
    browser: Browser, parts: Parts, organization: NewOrganization
) -> None:
    me = (await browser.open("/users")).links["Ada Bill"]
    asked = await browser.open(f"{me}/delete")
    assert asked.h1 == ["Delete Ada Bill?"]
    refused = await browser.send(asked, "Yes, delete Ada Bill")
    assert refused.status == 409
    assert "is the last administrator" in refused.text


async def test_a_user_is_deleted(browser: Browser) -> None:
    _, id = await invited(browser)
    page = await browser.send(await browser.open(f"/users/{id}/delete"), "Yes, delete Jane Roe")
    assert "Jane Roe was deleted." in page.text
    assert (await browser.open(f"/users/{id}")).status == 404


async def test_an_administrator_signs_somebody_out_everywhere(
    browser: Browser, parts: Parts, organization: NewOrganization
) -> None:
    shown, id = await invited(browser)
    await parts.sessions.use_link(link_on(shown).rpartition("/")[2], "192.0.2.7", password=GOOD, agent="Firefox")
    page = await browser.open(f"/users/{id}")
    assert "192.0.2.7" in page.text
    page = await browser.send(page, "Sign out everywhere")
    assert "1 session was ended." in page.text
    assert "192.0.2.7" not in page.text


async def test_a_person_changes_their_password_and_is_signed_out_elsewhere(browser: Browser, parts: Parts) -> None:
    shown, _ = await invited(browser)
    token = link_on(shown).rpartition("/")[2]
    elsewhere = await parts.sessions.use_link(token, "192.0.2.7", password=GOOD)
    page = await browser.send(await browser.open("/account"), "Sign out")
    await browser.send(page, "Sign in", mail="jane@acme.example", secret__password=GOOD)
    page = await browser.open("/account")
    assert "192.0.2.7" in page.text
    wrong = {"secret__present": "wrong", "secret__password": BETTER, "secret__repeated": BETTER}
    refused = await browser.send(page, "Change the password", **wrong)
    assert "The present password is another." in refused.text
    differs = await browser.send(page, "Change the password", **wrong | {"secret__repeated": GOOD})
    assert "The two passwords differ." in differs.text
    assert BETTER not in differs.html
    page = await browser.send(page, "Change the password", **wrong | {"secret__present": GOOD})
    assert "The password was changed." in page.text
    assert "192.0.2.7" not in page.text
    with pytest.raises(Exception, match="signed out"):
        await parts.sessions.visitor(elsewhere)


async def test_a_person_ends_their_other_sessions_but_never_this_one(
    browser: Browser, parts: Parts, organization: NewOrganization
) -> None:
    me = (await browser.open("/users")).links["Ada Bill"].rpartition("/")[2]
    caller = Caller(organization.org_id, "SYSTEM")
    for address in ("192.0.2.7", "192.0.2.8"):
        async with parts.db.transaction() as tx:
            await parts.sessions.open(tx, await users.retrieve(parts.db, caller, me), "link", address, "")
    page = await browser.send(await browser.open("/account"), "End")
    assert "1 session was ended." in page.text
    page = await browser.send(page, "Sign out everywhere else")
    assert "1 session was ended." in page.text
    assert "this one" in page.text


async def test_a_service_user_comes_with_a_key_whose_secret_is_shown_once(browser: Browser, parts: Parts) -> None:
    page = await browser.open("/keys/new")
    shown = await browser.send(page, "Make it, with a key", name="Exporter", role="source")
    assert shown.h1 == ["New access key of Exporter"]
    key, secret = (re.findall(f"TOLLBRIDGE_{name}=([^\n<&]+)", shown.html)[-1] for name in ("ACCESS_KEY", "SECRET"))
    assert await parts.gate.issue(key, secret)
    page = await browser.open(shown.links["I have it: go on"])
    assert key in page.text
    assert secret not in page.html
    page = await browser.send(page, "Make inactive")
    assert "The key is inactive" in page.text
    page = await browser.send(page, "Make active")
    page = await browser.send(page, "Save", name="Exports", role="viewer")
    assert page.h1 == ["Exports"]
    page = await browser.send(page, "Yes, delete the key")
    assert "None: it cannot come in." in page.text
    shown = await browser.send(page, "New access key")
    page = await browser.open(shown.links["I have it: go on"])
    page = await browser.send(await browser.open(page.links["Delete"]), "Yes, delete Exports")
    assert "Exports was deleted with its keys." in page.text


async def test_a_service_user_without_a_name_is_refused(browser: Browser) -> None:
    refused = await browser.send(await browser.open("/keys/new"), "Make it, with a key", name="", role="viewer")
    assert refused.status == 400
    assert refused.form("Make it, with a key").fields["role"] == "viewer"


async def test_the_audit_log_says_who_changed_what_from_what_to_what(browser: Browser) -> None:
    _, id = await invited(browser)
    await browser.send(await browser.open(f"/users/{id}"), "Save", role="operator")
    page = await browser.open(f"/audit?entity=User&entityId={id}&action=UPDATE")
    assert "Ada Bill" in page.text
    assert "role finance operator" in page.text
    assert page.links[id] == f"/console/users/{id}"
    assert "Nothing matches" in (await browser.open("/audit?end=2020-01-01")).text
    assert id in (await browser.open("/audit?action=&entity=&start=2020-01-01")).text
    wrong = await browser.open("/audit?start=soon")
    assert wrong.status == 400
    assert "start is 'soon'" in wrong.text


async def test_the_audit_log_goes_page_by_page_and_keeps_its_filters(browser: Browser, parts: Parts) -> None:
    for n in range(60):
        await parts.db.pool.execute(
            "INSERT INTO audit_log (org_id, id, at, principal, action, entity, entity_id, before, after)"
            " VALUES ('org 1', $1, now() - $2 * interval '1 day', 'SYSTEM', 'UPDATE', 'Webhook', $1, '{}', '{}')",
            f"w{n}",
            n,
        )
    first = await browser.open("/audit?entity=Webhook")
    assert "w49" in first.links
    assert "w50" not in first.links
    second = await browser.open(first.links["Next 50"])
    assert "w50" in second.links
    assert "w49" not in second.links
    assert "Ada Bill" not in second.text.partition("Before and after")[2]


async def test_only_administrators_see_people_keys_and_the_log(sign_in: SignIn) -> None:
    browser = await sign_in(Role.OPERATOR)
    for path in ("/users", "/users/invite", "/keys", "/keys/new", "/audit"):
        assert (await browser.open(path)).status == 403, path
    page = await browser.open("/account")
    assert page.h1 == ["Your account"]
    assert "Users" not in page.links
