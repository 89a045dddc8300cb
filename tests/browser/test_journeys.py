"""What people do in the Console, in a real browser."""

from __future__ import annotations

import json
import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OTHER_NAME, Demo, OpenTab, Tab
from tests.browser.test_every_page import RULES


def failed_run(demo: Demo) -> str:
    return str(json.loads(demo.cli("runs", "list", "--failed", "--json").splitlines()[0])["id"])


def configure(page: Page, demo: Demo, name: str) -> None:
    page.goto(f"{demo.console}/integrations/stripe_test")
    page.get_by_role("link", name="Configure new integration").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create integration").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_an_integration_is_configured_connected_disabled_and_deleted(tab: Tab) -> None:
    page, demo = tab.page, tab.demo
    configure(page, demo, "Trial")
    main = page.get_by_role("main")
    expect(main.get_by_text("DISCONNECTED", exact=True)).to_be_visible()
    page.get_by_role("button", name="Add credential").click()
    dialog = page.get_by_role("dialog", name="Select one Integration Credential")
    dialog.get_by_role("button", name="Use this credential").click()
    expect(main.get_by_text("CONNECTED", exact=True)).to_be_visible()
    page.get_by_role("button", name="Disable", exact=True).click()
    page.get_by_label("Why").fill("Only a trial")
    page.get_by_role("button", name="Yes, disable Trial").click()
    expect(main.get_by_text("DISABLED", exact=True)).to_be_visible()
    page.get_by_role("button", name="Re-enable").first.click()
    page.get_by_role("button", name="Yes, re-enable Trial").click()
    expect(main.get_by_text("CONNECTED", exact=True)).to_be_visible()
    page.get_by_role("link", name="Delete", exact=True).click()
    page.get_by_role("button", name="Yes, delete Trial").click()
    expect(page.get_by_text("Trial was deleted.")).to_be_visible()
    assert tab.wrong == []


def test_the_same_works_without_script(open_tab: OpenTab) -> None:
    tab = open_tab(java_script_enabled=False)
    page, demo = tab.page, tab.demo
    configure(page, demo, "Plain")
    page.get_by_role("button", name="Use this credential").last.click()
    expect(page.get_by_role("main").get_by_text("CONNECTED", exact=True)).to_be_visible()
    page.goto(f"{demo.console}/runs/{failed_run(demo)}")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("It is delivered again, unless it already took effect.")).to_be_visible()
    page.goto(f"{demo.console}/integrations/stripe_test")
    page.get_by_role("link", name="Delete Plain").click()
    page.get_by_role("button", name="Yes, delete Plain").click()
    expect(page.get_by_text("Plain was deleted.")).to_be_visible()


def test_a_replayed_run_is_watched_to_its_end(tab: Tab) -> None:
    page = tab.open(f"/runs/{failed_run(tab.demo)}")
    page.get_by_role("button", name="Replay").click()
    # Nothing is done to the page from here on: what comes, comes by itself.
    expect(page.locator("#run > .head").get_by_text("Error", exact=True)).to_be_visible(timeout=60_000)
    expect(page.get_by_role("log")).to_contain_text("Read the customer")


def test_focus_returns_to_what_opened_a_dialog(tab: Tab) -> None:
    configure(tab.page, tab.demo, "Focus")
    page = tab.page
    opener = page.get_by_role("link", name="Delete", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(opener).to_be_focused()


def test_copy_works_on_a_plain_http_address_too(open_tab: OpenTab) -> None:
    tab = open_tab()
    [cookie] = [each for each in tab.page.context.cookies() if each["name"] == "tollbridge_session"]
    tab.page.context.add_cookies(
        [{"name": "tollbridge_session", "value": cookie["value"], "domain": OTHER_NAME, "path": "/console"}]
    )
    port = tab.demo.url.rpartition(":")[2]
    integration = json.loads(tab.demo.cli("integrations", "list", "--json").splitlines()[0])
    page = tab.page
    page.goto(f"http://{OTHER_NAME}:{port}/console/configurations/{integration['id']}")
    assert page.evaluate("window.isSecureContext") is False
    page.get_by_role("button", name="Copy configuration").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    page.goto(f"http://{OTHER_NAME}:{port}/console/integrations")
    search = page.get_by_label("Search systems")
    search.focus()
    page.keyboard.press("Control+V")
    assert "{" in search.input_value()


def test_a_condition_is_tried_while_it_is_typed(tab: Tab) -> None:
    page = tab.open("/rules/new?eventName=billing.bill.created")
    condition = page.get_by_label("Or when this calculation is true")
    condition.press_sequentially("new.billTotl > 1")
    expect(page.locator("#tried")).to_contain_text("Did you mean new.billTotal")
    condition.fill("new.billTotal > 1")
    expect(page.locator("#tried")).to_contain_text("It can be read.")
    page.get_by_label("Try it on").select_option(index=1)
    expect(page.locator("#tried")).to_contain_text(re.compile("It (fires|does not fire) on this event."))
    assert tab.wrong == []


def test_a_customer_is_looked_up_while_words_are_typed_and_stands_in_the_field(tab: Tab) -> None:
    account = json.loads(tab.demo.cli("runs", "list", "--failed", "--json").splitlines()[0])["accountId"]
    page = tab.open(f"/mappings/new?entity=Account&id={account}&system=Stripe&table=Customer")
    page.get_by_role("link", name="Look up a customer").click()
    dialog = page.get_by_role("dialog", name="Look up a customer")
    expect(dialog.get_by_role("status")).to_contain_text("found")
    label = dialog.locator("#found a").first.inner_text()
    id = dialog.locator("#found code").first.inner_text()
    dialog.get_by_role("searchbox").press_sequentially(id)
    expect(dialog.get_by_role("status")).to_contain_text("1 found")
    assert Axe().run(page, options=RULES).response["violations"] == []
    dialog.get_by_role("link", name=label).click()
    expect(dialog).to_have_count(0)
    field = page.get_by_label("External id")
    expect(field).to_have_value(id)
    expect(field).to_be_focused()
    assert tab.wrong == []


def test_pages_are_reached_by_keys_alone(tab: Tab) -> None:
    page = tab.open("/")
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    page.wait_for_load_state()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Run log")).to_be_visible()
    # Keys count from when the page's script listens.
    page.wait_for_load_state()
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.get_by_role("heading", level=1)).to_have_text("Integrations")
    page.wait_for_load_state()
    page.keyboard.press("/")
    page.keyboard.type("web")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_have_count(1)


def test_whatever_has_a_name_is_found_by_keys_alone(tab: Tab) -> None:
    page = tab.open("/runs")
    page.keyboard.press("Control+k")
    dialog = page.get_by_role("dialog", name="Find")
    expect(dialog.get_by_label("Where to")).to_be_focused()
    page.keyboard.type("external map")
    expect(dialog.get_by_role("status")).to_have_text(re.compile("found"))
    expect(dialog.get_by_role("link").first).to_have_text("External mappings")
    page.keyboard.press("ArrowDown")
    expect(dialog.get_by_role("link", name="External mappings", exact=True)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("External mappings")
    assert tab.wrong == []


def test_what_is_typed_fast_leads_to_what_was_meant(tab: Tab) -> None:
    page = tab.open("/runs")
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Where to")).to_be_focused()
    page.keyboard.type("audit")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Audit log")


def test_a_question_mark_shows_the_keys_and_focus_returns(tab: Tab) -> None:
    page = tab.open("/integrations")
    opener = page.get_by_role("link", name="All", exact=False).first
    opener.focus()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("Next and previous row")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("?")
    dialog.get_by_role("button", name="Switch these keys off").click()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Find")).to_be_visible()
    assert tab.wrong == []


def test_what_opens_over_a_page_can_be_used_by_everybody(tab: Tab) -> None:
    page = tab.open("/")
    for link in ("Find", "Keys"):
        page.get_by_role("link", name=link, exact=True).click()
        expect(page.get_by_role("dialog", name=link)).to_be_visible()
        assert Axe().run(page, options=RULES).response["violations"] == []
        page.keyboard.press("Escape")


def test_without_script_both_are_pages(open_tab: OpenTab) -> None:
    page = open_tab(java_script_enabled=False).open("/")
    page.get_by_role("link", name="Find", exact=True).click()
    page.get_by_label("Where to").fill("runs")
    page.get_by_role("main").get_by_role("button", name="Find").click()
    page.get_by_role("main").get_by_role("link", name="Runs", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    page.get_by_role("link", name="Keys", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keys")
