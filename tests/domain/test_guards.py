"""What is let through before a person had a look: first bills, and months that are not much larger than the last."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbridge.domain import guards
from tollbridge.domain.guards import Asking, FirstSends, Guard, Volume
from tollbridge.domain.runs import HoldReason

LAST = {"2026-10": Volume(2, {"EUR": Decimal(100)})}


def bill(id: str, total: int = 10, day: date = date(2026, 11, 5), currency: str = "EUR") -> Asking:
    return Asking(f"run of {id}", id, day, currency, Decimal(total))


def let_through(guard: Guard, *bills: Asking) -> list[str]:
    return [run_id.removeprefix("run of ") for run_id in guards.judge(guard, bills).let_through]


def test_so_many_bills_go_out_and_the_others_wait() -> None:
    guard = Guard(FirstSends(3, frozenset({"a"})))
    judged = guards.judge(guard, [bill("b"), bill("c"), bill("d"), bill("a")])
    assert judged.let_through == ["run of b", "run of c", "run of a"]
    reason, told = judged.held["run of d"]
    assert reason is HoldReason.FIRST_SENDS
    assert told.startswith("The first 3 bills go out")


def test_a_month_stops_where_it_has_more_than_twice_the_bills_of_the_last() -> None:
    guard = Guard(volumes=LAST)
    assert let_through(guard, *(bill(str(n), 1) for n in range(4))) == ["0", "1", "2", "3"]
    judged = guards.judge(guard, [bill(str(n), 1) for n in range(5)])
    reason, told = judged.held["run of 4"]
    assert reason is HoldReason.VOLUME
    assert told.startswith("2026-11 would come to 5 bills, more than twice the 2 of 2026-10.")


@pytest.mark.parametrize(("total", "passes"), [(200, True), (201, False)])
def test_a_month_stops_where_the_sum_of_a_currency_is_more_than_twice_that_of_the_last(
    total: int, passes: bool
) -> None:
    assert let_through(Guard(volumes=LAST), bill("a", total)) == (["a"] if passes else [])


def test_once_a_month_is_stopped_nothing_more_of_it_passes_but_other_months_do() -> None:
    first = guards.judge(Guard(volumes=LAST), [bill("big", 500), bill("small", 1), bill("old", 1, date(2026, 10, 1))])
    assert first.let_through == ["run of old"]
    assert first.volumes is not None
    free = guards.set_free(first.volumes)
    assert let_through(Guard(volumes=free), bill("big", 500), bill("huge", 5000)) == ["big", "huge"]


def test_without_a_past_month_or_a_past_sum_there_is_nothing_to_compare_with() -> None:
    assert let_through(Guard(volumes={}), *(bill(str(n), 1000) for n in range(9))) == [str(n) for n in range(9)]
    assert let_through(Guard(volumes=LAST), bill("a", 9999, currency="USD")) == ["a"]
    credited = {"2026-10": Volume(2, {"EUR": Decimal(-5)})}
    assert let_through(Guard(volumes=credited), bill("a", 9999)) == ["a"]


def test_the_last_month_is_the_latest_before_it_in_which_anything_was_sent() -> None:
    volumes = {"2026-08": Volume(1), "2026-10": Volume(0, stopped="it was too much"), "2026-12": Volume(50)}
    assert guards.last_before(volumes, "2026-11") == "2026-08"


def test_a_bill_that_was_let_through_before_is_not_counted_again() -> None:
    guard = Guard(FirstSends(1, frozenset({"a"})), LAST, frozenset({"a"}))
    judged = guards.judge(guard, [bill("a", 9999), bill("a", 9999)])
    assert judged.let_through == ["run of a"] * 2
    assert judged.volumes == LAST


def test_what_is_kept_reads_back_without_the_oldest_months() -> None:
    volumes = {f"{2000 + n // 12}-{n % 12 + 1:02}": Volume(n, {"EUR": Decimal("0.10")}) for n in range(61)}
    kept = guards.read(guards.write(volumes))
    assert kept is not None
    assert len(kept) == guards.PERIODS_KEPT
    assert "2000-01" not in kept
    assert kept["2000-02"] == volumes["2000-02"]
    assert guards.read(guards.write(None)) is None


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(-50, 200)), max_size=30), st.integers(0, 5))
def test_however_bills_are_split_over_claims_the_same_pass(bills: list[tuple[str, int]], cut: int) -> None:
    asked = [bill(id, total) for id, total in dict(bills).items()]
    once = guards.judge(Guard(FirstSends(4, frozenset()), LAST), asked)
    first = guards.judge(Guard(FirstSends(4, frozenset()), LAST), asked[:cut])
    passed = frozenset(run_id.removeprefix("run of ") for run_id in first.let_through)
    second = guards.judge(Guard(FirstSends(4, passed), first.volumes, passed), asked[cut:])
    assert [*first.let_through, *second.let_through] == once.let_through
    assert len(once.let_through) <= 4


def test_a_month_that_is_stopped_is_kept_however_old_it_is() -> None:
    months = [f"{year}-{month:02}" for year in range(2018, 2027) for month in range(1, 13)]
    volumes = {each: Volume(bills=1) for each in months} | {"2018-02": Volume(stopped="It is too much.")}
    kept = guards.write(volumes)
    assert kept is not None
    assert (len(kept), "2018-02" in kept, "2018-01" in kept) == (guards.PERIODS_KEPT + 1, True, False)
