"""Every page, light and dark, wide and narrow: nothing that keeps somebody out, nothing that leaves this server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import Demo, OpenTab

RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
LISTS = (
    "/",
    "/integrations",
    "/integrations?category=Marketplace",
    "/integrations/stripe_test",
    "/integrations/stripe_test/new",
    "/docs/stripe_test",
    "/credentials",
    "/credentials/new",
    "/credentials/new?system=STRIPE_TEST",
    "/runs",
    "/runs?status=ERROR",
    "/runs?status=DISABLED",
    "/rules",
    "/rules/new",
    "/rules/new?eventName=billing.bill.created",
    "/webhooks",
    "/webhooks/new",
    "/accounts",
    "/bills",
    "/bills/import",
    "/mappings",
    "/mappings/new",
    "/mappings/import",
    "/events",
    "/alerts",
    "/users",
    "/keys",
    "/account",
    "/audit",
    "/support",
    "/docs",
    "/docs/errors",
    "/_gallery",
)


@pytest.fixture(scope="session")
def pages(demo: Demo) -> list[str]:
    """Every page that the demo has, one of each kind."""

    def first(*command: str) -> Any:
        return json.loads(demo.cli(*command, "--json").splitlines()[0])

    run, integration = first("runs", "list", "--failed"), first("integrations", "list")
    bill, account, alert = run["entityId"], run["accountId"], first("alerts", "list")
    credential, rule, hook = first("credentials", "list"), first("rules", "list"), first("webhooks", "list")
    return [
        *LISTS,
        f"/runs/{run['id']}",
        f"/configurations/{integration['id']}",
        f"/configurations/{integration['id']}/edit",
        f"/configurations/{integration['id']}/delete",
        f"/bills/{bill}",
        f"/accounts/{account}",
        f"/alerts/{alert['id']}",
        f"/credentials/{credential['id']}",
        f"/rules/{rule['id']}",
        f"/rules/{rule['id']}/edit",
        f"/webhooks/{hook['id']}",
        f"/webhooks/{hook['id']}/edit",
    ]


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
    plain = {path: title for path, title in titles.items() if "?" not in path}
    assert len(set(plain.values())) == len(plain), plain


def test_what_needs_no_sign_in_can_be_used_by_everybody(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.page.context.clear_cookies()
    for path in ("/sign-in", "/forgotten", "/runs"):
        page = tab.open(path)
        assert Axe().run(page, options=RULES).response["violations"] == []
        assert page.locator("h1").count() == 1
    assert tab.wrong == []
