"""Settings are right before anything starts with them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tollbridge.settings import Settings


def test_settings_are_read_from_the_environment() -> None:
    read = Settings.read(
        {
            "TOLLBRIDGE_PORT": "0",
            "TOLLBRIDGE_LEASE": "2.5",
            "TOLLBRIDGE_RATE_LIMITS": "stripe=0.5, STRIPE_TEST=100",
            "TOLLBRIDGE_VENDOR_URLS": "STRIPE_TEST=http://127.0.0.1:4010",
        }
    )
    assert (read.port, read.lease) == (0, timedelta(seconds=2.5))
    assert read.rate_limits == {"STRIPE": "0.5", "STRIPE_TEST": "100"}
    assert read.vendor_urls == {"STRIPE_TEST": "http://127.0.0.1:4010"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "x"),
        ("PORT", "65536"),
        ("LEASE", "nan"),
        ("LEASE", "-1"),
        ("LEASE", "1e30"),
        ("REQUEST_TIMEOUT", "0"),
        ("CONCURRENCY", "0"),
        ("RUN_ATTEMPTS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("VENDOR_URLS", "http://127.0.0.1"),
        ("VENDOR_URLS", "STRIPE=ftp://x"),
        ("LOCAL_SIGN_IN", "maybe"),
        ("SSO_ISSUER", "login.example"),
        ("SSO_ROLES", "Accounting"),
        ("SSO_ROLES", "Accounting=7"),
        ("KEEP_AUDIT", "-1"),
        ("RATE_LIMITS", "STRIPE=fast"),
        ("RATE_LIMITS", "STRIPE=0"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_name_and_value(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"TOLLBRIDGE_{name} .*{value}.* must be"):
        Settings.read({f"TOLLBRIDGE_{name}": value})


def test_groups_are_taken_as_they_are_written_and_0_keeps_for_ever() -> None:
    read = Settings.read(
        {
            "TOLLBRIDGE_SSO_ROLES": "Billing admins=administrator, accounting=finance",
            "TOLLBRIDGE_LOCAL_SIGN_IN": "no",
            "TOLLBRIDGE_KEEP_LEDGER": "0",
            "TOLLBRIDGE_PUBLIC_URL": "https://bills.example/",
        }
    )
    assert read.sso_roles == {"Billing admins": "administrator", "accounting": "finance"}
    assert (read.local_sign_in, read.keep_ledger) == (False, timedelta(0))
    assert (read.people_url, Settings().people_url) == ("https://bills.example", "http://127.0.0.1:8400")
