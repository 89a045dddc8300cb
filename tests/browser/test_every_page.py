"""Every page, light and dark, wide and narrow: nothing that keeps somebody out, nothing that leaves this server."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import Demo, OpenTab
from tests.browser.pages import pages_of

RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}


@pytest.fixture(scope="package")
def pages(demo: Demo) -> list[str]:
    return pages_of(demo)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_can_be_used_by_everybody(open_tab: OpenTab, pages: list[str], theme: Any, width: int) -> None:
    tab = open_tab(color_scheme=theme, viewport={"width": width, "height": 900})
    axe, titles, wrong = Axe(), {}, {}
    for path in pages:
        page = tab.open(path)
        found = axe.run(page, options=RULES).response["violations"]
        faults = [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found] + tab.wrong
        tab.wrong.clear()
        headings = page.locator("h1").count()
        if headings != 1:
            faults.append(f"{headings} h1")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            faults.append("it is wider than the window")
        if faults:
            wrong[path] = faults
        titles[path] = page.title()
    assert wrong == {}
    named: dict[str, list[str]] = {}
    for path, title in titles.items():
        named.setdefault(title, []).append(path.partition("?")[0])
    assert [paths for paths in named.values() if len(set(paths)) > 1] == []


def test_what_needs_no_sign_in_can_be_used_by_everybody(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.page.context.clear_cookies()
    for path in ("/sign-in", "/forgotten", "/runs"):
        page = tab.open(path)
        assert Axe().run(page, options=RULES).response["violations"] == []
        assert page.locator("h1").count() == 1
    assert tab.wrong == []


def test_every_link_leads_somewhere(open_tab: OpenTab, pages: list[str]) -> None:
    tab = open_tab()
    found: dict[str, str] = {}
    # The examples of the gallery are of nothing that exists.
    for path in set(pages) - {"/_gallery"}:
        page = tab.open(path)
        links = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href.split('#')[0])")
        found |= {link: path for link in links if link.startswith(tab.demo.url) and link not in found}
    assert found
    statuses = {link: tab.page.request.get(link).status for link in found}
    assert {link: (statuses[link], found[link]) for link in found if statuses[link] >= 400} == {}
