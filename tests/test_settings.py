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
            "TOLLBRIDGE_ALLOW_NETWORKS": "10.20.0.0/16, fd12::/32, 192.168.1.7",
            "TOLLBRIDGE_ALLOW_HTTP": "True",
            "TOLLBRIDGE_PROXY": "http://user:secret@proxy.example.com:3128",
            "TOLLBRIDGE_SMTP_URL": "smtp://me%40example.org:p%3Ass@mail.example.org:587",
            "TOLLBRIDGE_ALERT_MAIL": "ops@example.org, night@example.org,",
            "TOLLBRIDGE_PUBLIC_URL": "https://tollbridge.example/billing",
        }
    )
    assert read.alert_mail == ("ops@example.org", "night@example.org")
    assert (read.port, read.lease) == (0, timedelta(seconds=2.5))
    assert read.rate_limits == {"STRIPE": "0.5", "STRIPE_TEST": "100"}
    assert [str(network) for network in read.allow_networks] == ["10.20.0.0/16", "fd12::/32", "192.168.1.7/32"]
    assert read.allow_http is True
    assert read.proxy == "http://user:secret@proxy.example.com:3128"
    assert "secret@" not in repr(read)
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
        ("SSO_ROLES", "Accounting"),
        ("SSO_ROLES", "Accounting=7"),
        ("KEEP_AUDIT", "-1"),
        ("RATE_LIMITS", "STRIPE=fast"),
        ("RATE_LIMITS", "STRIPE=0"),
        ("ALLOW_NETWORKS", "10.20.0.1/16"),
        ("ALLOW_NETWORKS", "10.20"),
        ("ALLOW_NETWORKS", "intranet"),
        ("ALLOW_HTTP", "maybe"),
        ("CA_FILE", "/nowhere/ca.pem"),
        ("CA_FILE", __file__),
        ("LONGEST_BODY", "1023"),
        ("LONGEST_BODY", "1048577"),
        ("LONGEST_REPLY", "65535"),
        ("LONGEST_REPLY", "67108865"),
        ("LEASE", "301"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_name_and_value(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"TOLLBRIDGE_{name} .*{value}.* must be"):
        Settings.read({f"TOLLBRIDGE_{name}": value})


def test_an_address_that_is_not_well_formed_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match=r"TOLLBRIDGE_SSO_ISSUER .* must be as https://") as refused:
        Settings.read({"TOLLBRIDGE_SSO_ISSUER": "us:hunter2@login.example"})
    assert "hunter2" not in str(refused.value)


def test_the_proxy_of_the_environment_counts_where_ours_is_not_set() -> None:
    theirs = {"HTTPS_PROXY": "http://proxy.example:3128", "no_proxy": "sso.example, .internal"}
    read = Settings.read(theirs)
    assert (read.proxy, read.no_proxy) == ("http://proxy.example:3128", ("sso.example", ".internal"))
    assert read.webhook_proxy == ""
    ours = Settings.read({**theirs, "TOLLBRIDGE_PROXY": "", "TOLLBRIDGE_NO_PROXY": "*"})
    assert (ours.proxy, ours.no_proxy) == ("", ("*",))
    assert Settings.read({"HTTPS_PROXY": "proxy:3128"}).proxy == "http://proxy:3128"
    with pytest.raises(
        ValueError, match=r"^HTTPS_PROXY is not well-formed.*TOLLBRIDGE_PROXY goes before it"
    ) as refused:
        Settings.read({"HTTPS_PROXY": "https://u:hunter2@proxy:3128"})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["PROXY", "WEBHOOK_PROXY"])
@pytest.mark.parametrize(
    "value",
    ["proxy:3128", "https://u:hunter2@proxy:3128", "socks5://proxy", "http://u:hunter2@proxy:x", "http://p/path"],
)
def test_a_proxy_that_cannot_work_is_refused_and_its_password_not_repeated(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"TOLLBRIDGE_{name} .* must be as http://") as refused:
        Settings.read({f"TOLLBRIDGE_{name}": value})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "mail.example.org"),
        ("SMTP_URL", "http://hush@mail.example.org"),
        ("SMTP_URL", "smtp://hush:a@b@mail.example.org"),
        ("SMTP_URL", "smtp://mail.example.org/hush?tls=no"),
        ("ALERT_WEBHOOK", "ftp://hush.example.org/x"),
        ("ALERT_WEBHOOK", "https://hush example.org/x"),
        ("PUBLIC_URL", "tollbridge.example"),
        ("PUBLIC_URL", "https://tollbridge.example/?hush"),
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_what_may_be_secret(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"TOLLBRIDGE_{name} is not well-formed") as refusal:
        Settings.read({f"TOLLBRIDGE_{name}": value})
    assert "hush" not in str(refusal.value)


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
