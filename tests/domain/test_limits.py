"""The token bucket and the shares of slots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tollbridge.domain.limits import Bucket, fair_slots

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 50)), max_size=30))
def test_no_more_is_given_than_the_burst_and_what_the_rate_brings(asked: list[tuple[float, int]]) -> None:
    bucket, now, given = Bucket(20.0, NOW), NOW, 0
    for seconds, wanted in asked:
        now += timedelta(seconds=seconds)
        taken = bucket.take(wanted, rate=10, burst=20, now=now)
        bucket, given = taken.bucket, given + taken.tokens
    assert given <= 20 + 10 * (now - NOW).total_seconds() + 1e-6


def test_a_wait_is_long_enough_for_the_next_token() -> None:
    empty = Bucket(0.0, NOW).take(1, rate=4, burst=4, now=NOW)
    assert (empty.tokens, empty.wait) == (0, timedelta(seconds=0.25))
    assert empty.bucket.take(1, rate=4, burst=4, now=NOW + empty.wait).tokens == 1


def test_the_end_of_a_block_is_no_burst() -> None:
    blocked = Bucket(20.0, NOW, blocked_until=NOW + timedelta(seconds=60))
    refused = blocked.take(5, rate=10, burst=20, now=NOW + timedelta(seconds=59.9))
    assert (refused.tokens, refused.wait) == (0, timedelta(seconds=0.1))
    assert refused.bucket.take(20, rate=10, burst=20, now=NOW + timedelta(seconds=60)).tokens == 2


def test_a_clock_that_goes_back_brings_nothing() -> None:
    assert Bucket(0.0, NOW).take(1, rate=10, burst=10, now=NOW - timedelta(hours=1)).tokens == 0


def test_slots_are_shared_fairly_and_never_given_twice() -> None:
    assert fair_slots(10, 6, []) == 6
    assert fair_slots(10, 6, [6]) == 0
    assert fair_slots(10, 6, [3]) == 3
    assert fair_slots(10, 6, [0, 0]) == 2
    assert fair_slots(1, 6, [3]) == 1
    assert fair_slots(4, 1, [0, 0, 0]) == 1


def test_a_clock_that_was_far_ahead_does_not_stop_the_bucket_from_filling() -> None:
    ahead = Bucket(0.0, NOW + timedelta(hours=1)).take(1, rate=10, burst=10, now=NOW)
    assert ahead.bucket.take(10, rate=10, burst=10, now=NOW + timedelta(seconds=1)).tokens == 10
