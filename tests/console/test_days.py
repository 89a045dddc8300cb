"""The last days as bars, with the same in words."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.console.conftest import Browser, Page, SignIn
from tests.console.trouble import fail
from tests.services.conftest import world as world
from tests.services.world import ORG, World
from tollbridge.console.charts import DOWN, LEAST, UP, chart
from tollbridge.domain.access import Role
from tollbridge.domain.tallies import Day, Tally
from tollbridge.services import clock
from tollbridge.services.organizations import NewOrganization


@pytest.fixture
def organization(world: World) -> NewOrganization:
    """The organization whose days are shown."""
    return NewOrganization(ORG, "Org", "", "", "")


@pytest.fixture
async def delivered(world: World) -> None:
    """Two bills were delivered and one failed, all two days ago."""
    for bill, account in (("one", "a"), ("two", "b")):
        await world.deliver(await world.send(bill, account), f"in_{bill}")
    await fail(world, "three", "a")
    await world.db.pool.execute("UPDATE runs SET completed_at = $1", clock.now() - timedelta(days=2))


def bars(page: Page) -> int:
    """How many bars the page has."""
    return len(re.findall("<rect", page.html))


async def test_where_nothing_ended_yet_the_overview_has_no_days(browser: Browser) -> None:
    page = await browser.open("/")
    assert "The last 14 days" not in page.text


@pytest.mark.usefixtures("delivered")
async def test_the_overview_shows_all_together_and_each_integration(browser: Browser) -> None:
    page = await browser.open("/")
    assert "The last 14 days 2 delivered, 1 failed in 14 days" in page.text
    assert "int int: 2 delivered, 1 failed in 14 days 2 1" in page.text
    assert page.links["int"] == "/console/configurations/int"
    assert bars(page) == 4


@pytest.mark.usefixtures("delivered")
async def test_a_system_shows_the_last_week_of_each_configuration(browser: Browser) -> None:
    page = await browser.open("/integrations/stripe_test")
    assert "Last 7 days" in page.text
    assert "int: 2 delivered, 1 failed in 7 days" in page.text


@pytest.mark.usefixtures("delivered")
async def test_the_details_say_the_same_as_a_table(sign_in: SignIn) -> None:
    page = await (await sign_in(Role.VIEWER)).open("/configurations/int")
    assert bars(page) == 2
    assert len(re.findall(r'data-label="Day"', page.html)) == 14
    counts = re.findall(r'data-label="(?:Delivered|Failed)" class="num">(\d+)<', page.html)
    assert counts[:8] == ["0", "0", "0", "0", "2", "1", "0", "0"]


def test_a_single_failure_among_many_deliveries_is_seen() -> None:
    today = clock.now().date()
    drawn = chart([Day(today, Tally(100_000, 1)), Day(today, Tally(1, 0)), Day(today, None)])
    assert [(bar.up, bar.down) for bar in drawn.bars] == [(UP, LEAST), (LEAST, 0), (0, 0)]
    assert (drawn.total, drawn.uncounted) == (Tally(100_001, 1), 1)


@pytest.mark.parametrize(("delivered", "failed", "up", "down"), [(0, 0, 0, 0), (8, 8, DOWN, DOWN), (32, 7, UP, 7)])
def test_what_was_delivered_and_what_failed_are_drawn_to_one_scale(
    delivered: int, failed: int, up: int, down: int
) -> None:
    (bar,) = chart([Day(clock.now().date(), Tally(delivered, failed))]).bars
    assert (bar.up, bar.down) == (up, down)
