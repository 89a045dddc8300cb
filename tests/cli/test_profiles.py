"""Profiles are kept for their owner alone, and the environment goes before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tollbridge.cli.profiles import Profile, check_free, profiles_file, read_profile, write_profile
from tollbridge.domain.errors import Invalid, NotFound

ONE = Profile("http://127.0.0.1:8400", "org-1", "key-1", 'se"cret\\1')


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_a_profile_comes_back_as_it_was_written() -> None:
    write_profile("one", ONE)
    write_profile("two", Profile("https://b/", "org-2", "key-2", "s"))
    assert read_profile("one", {}) == ONE
    assert read_profile("two", {}).url == "https://b"


def test_the_file_is_for_its_owner_alone() -> None:
    write_profile("one", ONE)
    assert profiles_file().stat().st_mode & 0o777 == 0o600


def test_the_environment_goes_before_the_file() -> None:
    write_profile("one", ONE)
    assert read_profile("one", {"TOLLBRIDGE_ORG": "other"}).org == "other"


def test_the_environment_alone_is_enough() -> None:
    environ = {
        "TOLLBRIDGE_URL": "http://a",
        "TOLLBRIDGE_ORG": "o",
        "TOLLBRIDGE_ACCESS_KEY": "k",
        "TOLLBRIDGE_SECRET": "s",
    }
    assert read_profile("none", environ) == Profile("http://a", "o", "k", "s")


def test_a_missing_profile_says_how_to_make_one() -> None:
    with pytest.raises(NotFound) as refusal:
        read_profile("none", {})
    assert "tollbridge init" in str(refusal.value.hint)


def test_a_name_that_is_taken_is_refused_unless_it_may_be_replaced() -> None:
    write_profile("one", ONE)
    with pytest.raises(Invalid):
        check_free("one", replace=False)
    check_free("one", replace=True)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "ä", "x" * 41])
def test_a_name_that_toml_or_people_trip_over_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        check_free(name, replace=False)
