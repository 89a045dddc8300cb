"""A configuration's past follows from its present and the lines of the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tollbridge.domain.audit import HIDDEN, NOTHING, Action, difference
from tollbridge.domain.versions import Change, compare, versions

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def change(number: int, action: Action, before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    return Change(f"c{number}", NOON + timedelta(hours=number), f"USER_{number}", action, *difference(before, after))


FIRST = {"name": "EU", "destination": "STRIPE", "configData": {"finish": "draft", "memo": "Thanks"}}
SECOND = FIRST | {"configData": {"finish": "send"}, "integrationCredentialsId": "cred"}
THIRD = SECOND | {"name": "Europe"}
CHANGES = [
    change(4, Action.UPDATE, SECOND, THIRD),
    change(3, Action.DISABLE, {"enabled": True}, {"enabled": False}),
    change(2, Action.UPDATE, FIRST, SECOND),
    change(1, Action.CREATE, NOTHING, FIRST),
]


def test_each_version_is_what_it_was_with_who_made_it_so() -> None:
    third, second, first = versions(THIRD, CHANGES)
    assert [each.by for each in (third, second, first)] == ["USER_4", "USER_2", "USER_1"]
    assert first.values == {"name": "EU", "configData": {"finish": "draft", "memo": "Thanks"}}
    assert second.values == {"name": "EU", "configData": {"finish": "send"}, "integrationCredentialsId": "cred"}
    assert third.values == {**second.values, "name": "Europe"}
    assert [each.created for each in (third, second, first)] == [False, False, True]


def test_what_changed_is_told_by_option() -> None:
    third, second, _ = versions(THIRD, CHANGES)
    assert (third.before, third.after) == ({"name": "EU"}, {"name": "Europe"})
    assert second.before == {"finish": "draft", "memo": "Thanks"}
    assert second.after == {"finish": "send", "integrationCredentialsId": "cred"}


def test_any_two_versions_can_be_compared() -> None:
    third, _, first = versions(THIRD, CHANGES)
    before, after = compare(first.values, third.values)
    assert before == {"name": "EU", "finish": "draft", "memo": "Thanks"}
    assert after == {"name": "Europe", "finish": "send", "integrationCredentialsId": "cred"}


def test_a_save_that_changed_nothing_is_no_version() -> None:
    assert [each.id for each in versions(FIRST, [change(2, Action.UPDATE, FIRST, FIRST), CHANGES[-1]])] == ["c1"]


def test_where_the_log_does_not_reach_the_beginning_what_it_knows_is_told() -> None:
    assert [each.id for each in versions(THIRD, CHANGES[:1])] == ["c4"]
    assert list(versions(THIRD, [])) == []


def test_what_looks_like_a_secret_stays_hidden_in_every_version() -> None:
    old, new = {"configData": {"apiToken": "first key"}}, {"configData": {"apiToken": "second key"}}
    [latest] = versions(new, [change(1, Action.CREATE, NOTHING, new)])
    assert latest.values == {"configData": {"apiToken": HIDDEN}}
    [changed] = versions(new, [change(1, Action.UPDATE, old, new)])
    assert "key" not in str(changed)
    assert not changed.created
