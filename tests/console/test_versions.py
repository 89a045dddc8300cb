"""What a configuration was before, who changed it, and the difference."""

from __future__ import annotations

from tests.console.conftest import Browser, SignIn
from tests.console.test_integrations import configured
from tollbridge.domain.access import Role


async def test_the_details_say_who_changed_what(browser: Browser) -> None:
    details = await configured(browser)
    assert "Versions" in details.text
    assert "present Ada Bill made" in details.text
    edit = await browser.open(details.links["Edit"])
    changed = await browser.send(edit, "Update integration", option__finish="send")
    assert "present Ada Bill finish" in changed.text
    assert "finish – send" in changed.text


async def test_an_earlier_version_is_shown_with_its_difference_from_the_present_one(browser: Browser) -> None:
    details = await configured(browser)
    [first] = [link for link in details.links.values() if "/versions/" in link]
    edit = await browser.open(details.links["Edit"])
    await browser.send(edit, "Update integration", option__finish="send", name="Stripe Europe")
    page = await browser.open(first)
    assert page.h1[0].startswith("Configuration as of ")
    assert "Made by Ada Bill" in page.text
    assert "finish – send" in page.text
    assert "name Stripe EU Stripe Europe" in page.text
    assert page.links["Stripe Europe"] == details.url.removeprefix("http://console").split("?")[0]


async def test_two_versions_are_compared_whichever_is_opened(browser: Browser) -> None:
    page = await configured(browser)
    for memo in ("One", "Two", "Three"):
        page = await browser.send(await browser.open(page.links["Edit"]), "Update integration", option__memo=memo)
    versions = [link for link in page.html.split('"') if "/versions/" in link]
    assert len(versions) == 4
    second, third = versions[2], versions[1].rpartition("/")[2]
    forth = await browser.open(f"{second}?against={third}")
    back = await browser.open(f"{versions[1]}?against={second.rpartition('/')[2]}")
    for each in (forth, back):
        assert "memo One Two" in each.text
        assert "Three" not in each.text
    same = await browser.open(f"{second}?against={second.rpartition('/')[2]}")
    assert "This is the same version." in same.text


async def test_there_is_no_version_that_is_not_one_of_it(browser: Browser) -> None:
    details = await configured(browser)
    path = details.url.removeprefix("http://console/console")
    missing = await browser.open(f"{path}/versions/none")
    assert missing.status == 404
    assert "There is no version none of it." in missing.text


async def test_who_reads_the_configuration_reads_what_it_was(sign_in: SignIn) -> None:
    path = (await configured(await sign_in(Role.OPERATOR))).url.removeprefix("http://console/console")
    viewer = await sign_in(Role.VIEWER)
    page = await viewer.open(path)
    assert "Versions" in page.text
    [first] = [link for link in page.links.values() if "/versions/" in link]
    assert (await viewer.open(first)).status == 200
