"""Secrets open with any key of the ring, are sealed with the first, and belong to their row."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tollbridge.domain.errors import Invalid
from tollbridge.settings import Settings
from tollbridge.vault import Vault, key_file, new_key, open_vault, put_first

OLD, NEW = b"o" * 32, b"n" * 32


def test_the_first_key_seals_and_any_opens() -> None:
    old = Vault([OLD])
    sealed = old.seal(b"hush", "row")
    both = Vault([NEW, OLD])
    assert both.open(sealed, "row") == b"hush"
    assert both.seal(b"hush", "row").startswith(both.current)
    assert both.current != old.current
    with pytest.raises(Invalid, match=old.current.hex()):
        Vault([NEW]).open(sealed, "row")


def test_what_was_sealed_for_one_row_does_not_open_for_another() -> None:
    vault = Vault([OLD])
    with pytest.raises(Invalid, match="other"):
        vault.open(vault.seal(b"hush", "row"), "other")


def test_the_setting_may_hold_several_keys() -> None:
    first, second = new_key(), new_key()
    ring = open_vault(Settings(key=f"{first}, {second}"))
    assert len(ring.fingerprints) == 2
    assert ring.current == open_vault(Settings(key=first)).current


def test_a_key_that_is_none_is_refused_by_naming_where_it_stands() -> None:
    with pytest.raises(Invalid, match="TOLLBRIDGE_KEY"):
        open_vault(Settings(key=f"{new_key()},nonsense"))


def test_a_running_process_opens_what_a_key_sealed_that_came_later(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    running = open_vault(settings)
    put_first(key_file(settings), base64.b64encode(NEW).decode())
    assert running.open(open_vault(settings).seal(b"hush", "row"), "row") == b"hush"
    assert running.seal(b"", "row").startswith(running.current)
    assert key_file(settings).stat().st_mode & 0o777 == 0o600
