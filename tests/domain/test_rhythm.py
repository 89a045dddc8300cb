"""When a source is silent against its own rhythm."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbridge.domain.rhythm import Day, Silences, is_silent, usual_pause

START = datetime(2026, 1, 5, tzinfo=UTC)
RULE = Silences(3, timedelta(days=1))
DAY = timedelta(days=1)


def days(numbers: Iterable[int]) -> list[Day]:
    """Arrivals from 9 to 17 o'clock on each of these days."""
    return [Day(START + n * DAY + timedelta(hours=9), START + n * DAY + timedelta(hours=17)) for n in numbers]


WORKDAYS = [n for n in range(60) if n % 7 < 5]
MONTHLY = [month * 30 + day for month in range(4) for day in range(3)]


@pytest.mark.parametrize(
    ("known", "least_silence"),
    [
        pytest.param(WORKDAYS, timedelta(days=2, hours=16) * 3, id="on every workday: three weekends"),
        pytest.param(MONTHLY, timedelta(days=27, hours=16) * 3, id="at month's end: three months"),
        pytest.param([*WORKDAYS, 90, 91], timedelta(days=2, hours=16) * 3, id="an outage of a month is no rhythm"),
    ],
)
def test_a_source_is_silent_after_three_times_its_usual_longest_pause(
    known: list[int], least_silence: timedelta
) -> None:
    found = days(known)
    silent_from = found[-1].last + least_silence
    assert not is_silent(found, silent_from, RULE)
    assert is_silent(found, silent_from + timedelta(seconds=1), RULE)


def test_a_source_that_never_pauses_is_silent_after_a_day() -> None:
    found = [Day(START + n * DAY, START + (n + 1) * DAY - timedelta(seconds=1)) for n in range(30)]
    assert not is_silent(found, found[-1].last + DAY, RULE)
    assert is_silent(found, found[-1].last + DAY + timedelta(seconds=1), RULE)


@pytest.mark.parametrize("known", [[], [0], range(13), [0, 20, 40]])
def test_a_source_without_a_rhythm_is_never_silent(known: Iterable[int]) -> None:
    assert usual_pause(days(known)) is None
    assert not is_silent(days(known), START + timedelta(days=1000), RULE)


@given(st.sets(st.integers(0, 200), min_size=4), st.floats(0, 2.9))
def test_no_pause_that_was_usual_is_silence(numbers: set[int], part: float) -> None:
    found = days(sorted(numbers))
    usual = usual_pause(found)
    if usual is not None:
        assert not is_silent(found, found[-1].last + usual * part, RULE)
