"""Coming in and going out of the Console."""

from __future__ import annotations

from tests.console.conftest import Browser, SignIn
from tollbridge.domain.access import Role
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts


async def test_who_is_not_signed_in_is_asked_to_and_comes_back_to_the_page(somebody: Browser) -> None:
    page = await somebody.open("/runs?status=ERROR")
    assert page.h1 == ["Sign in"]
    assert page.form("Sign in").fields["next"] == "/runs?status=ERROR"


async def test_a_link_signs_in_once_by_its_button(sign_in: SignIn) -> None:
    browser = await sign_in(Role.VIEWER)
    page = await browser.open("/")
    assert "Sign out" in page.text
    page = await browser.send(page, "Sign out")
    assert page.h1 == ["Sign in"]
    assert "You are signed out." in page.text
    assert (await browser.open("/")).h1 == ["Sign in"]


async def test_a_wrong_password_is_refused_without_saying_which_part_is_wrong(somebody: Browser) -> None:
    page = await somebody.send(await somebody.open("/sign-in"), "Sign in", mail="a@b.example", secret__password="x")
    assert page.status == 400
    assert "The mail address and the password do not match" in page.text


async def test_a_form_that_was_made_for_another_session_is_refused(browser: Browser) -> None:
    page = await browser.open("/credentials/new?system=STRIPE_TEST")
    refused = await browser.send(page, "Check and save", csrf="0" * 64, name="x", secret__apiKey="sk_test_1")
    assert refused.status == 403
    assert "The form is not of this session." in refused.text


async def test_what_a_form_held_is_kept_while_somebody_signs_in_again(
    browser: Browser, parts: Parts, organization: NewOrganization
) -> None:
    page = await browser.open("/credentials/new?system=STRIPE_TEST")
    kept = browser.client.cookies.get("tollbridge_session")
    assert kept
    await parts.sessions.sign_out(kept)
    again = await browser.send(page, "Check and save", name="Mine", secret__apiKey="sk_test_hidden")
    assert again.status == 401
    assert again.h1 == ["Sign in"]
    form = again.form("Sign in")
    assert form.fields["kept.name"] == "Mine"
    assert "sk_test_hidden" not in again.html


async def test_a_form_of_another_site_is_not_kept_for_who_signs_in(browser: Browser) -> None:
    page = await browser.open("/credentials/new?system=STRIPE_TEST")
    browser.client.cookies.clear()
    again = await browser.send(page, "Check and save", name="Theirs")
    assert again.h1 == ["Sign in"]
    assert "Theirs" not in again.html


async def test_next_never_leads_to_another_site(somebody: Browser) -> None:
    for path in ("//evil.example", "https://evil.example", "/\\evil.example"):
        page = await somebody.open(f"/sign-in?next={path}")
        assert page.form("Sign in").fields["next"] == "/"
