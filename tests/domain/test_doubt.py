"""Whether a write is sent, sent again, or looked up first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tollbridge.domain.conversation import LedgerStep, StepState
from tollbridge.domain.doubt import Guarantees, Plan, may_be_forgotten, plan_write

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
KEYS = Guarantees(timedelta(hours=24), timedelta(seconds=80))
NO_KEYS = Guarantees(None, timedelta(seconds=80))


def known(state: StepState, ago: timedelta = timedelta(minutes=5), epoch: int = 3) -> LedgerStep:
    return LedgerStep(epoch, state, NOW - ago, NOW - ago)


def plan(
    step: LedgerStep | None,
    *,
    guarantees: Guarantees = KEYS,
    look_first: bool = False,
    changed: bool = False,
    can_look: bool = True,
) -> Plan | None:
    return plan_write(
        step,
        look_first=look_first,
        changed=changed,
        can_look=can_look,
        guarantees=guarantees,
        now=NOW,
    )


def test_a_write_that_was_never_sent_is_sent() -> None:
    assert plan(None) == Plan(look=False, epoch=1, next_epoch=1, earlier=None)


def test_a_write_in_doubt_is_sent_again_under_its_key_while_the_key_lives() -> None:
    step = known(StepState.SENT)
    assert plan(step) == Plan(look=False, epoch=3, next_epoch=4, earlier=step)


@pytest.mark.parametrize("ago", [timedelta(hours=24), timedelta(hours=24) - timedelta(seconds=80)])
def test_a_write_in_doubt_is_looked_up_once_the_key_may_be_forgotten(ago: timedelta) -> None:
    step = known(StepState.SENT, ago)
    assert plan(step) == Plan(look=True, epoch=3, next_epoch=4, earlier=step)


def test_a_write_in_doubt_is_looked_up_where_the_other_side_knows_no_keys() -> None:
    step = known(StepState.SENT)
    assert plan(step, guarantees=NO_KEYS) == Plan(look=True, epoch=3, next_epoch=4, earlier=step)


def test_a_write_in_doubt_that_cannot_be_looked_up_is_not_sent() -> None:
    assert plan(known(StepState.SENT), guarantees=NO_KEYS, can_look=False) is None


def test_a_refusal_uses_its_key_up_and_the_next_send_is_looked_up_before() -> None:
    assert plan(known(StepState.REFUSED)) == Plan(look=True, epoch=3, next_epoch=4, earlier=None)


def test_a_request_that_was_not_taken_up_leaves_its_key_as_good_as_new() -> None:
    assert plan(known(StepState.TURNED_AWAY)) == Plan(look=False, epoch=3, next_epoch=3, earlier=None)


def test_a_replay_looks_first_and_keeps_an_unused_key() -> None:
    assert plan(None, look_first=True) == Plan(look=True, epoch=1, next_epoch=1, earlier=None)
    assert plan(known(StepState.TURNED_AWAY), look_first=True) == Plan(True, 3, 3, None)


@pytest.mark.parametrize(
    ("lifetime", "age", "forgotten"),
    [
        (timedelta(hours=24), timedelta(hours=23), False),
        (timedelta(hours=24), timedelta(hours=24) - timedelta(seconds=80), True),
        (None, timedelta(minutes=50), False),
        (None, timedelta(hours=1), True),
    ],
)
def test_a_bill_older_than_its_key_may_have_been_sent_and_forgotten(
    lifetime: timedelta | None, age: timedelta, forgotten: bool
) -> None:
    assert may_be_forgotten(NOW - age, Guarantees(lifetime, timedelta(seconds=80)), NOW) is forgotten
