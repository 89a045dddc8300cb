"""Which addresses must not be reached, row by row, and which URLs are taken at all."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.provisional import urls
from yarl import URL

from tollbridge.domain.addresses import INNER_NAMES, LONGEST_URL, REFUSED, Target, check_url, why_refused
from tollbridge.domain.errors import Invalid, TooLarge

ROWS = [
    ("0.0.0.0", "0.255.255.255", "unspecified"),
    ("10.0.0.0", "10.255.255.255", "private"),
    ("100.64.0.0", "100.127.255.255", "CGNAT"),
    ("100.100.100.200", "100.100.100.200", "Alibaba"),
    ("127.0.0.0", "127.255.255.255", "loopback"),
    ("161.26.0.0", "161.26.255.255", "IBM"),
    ("166.8.0.0", "166.11.255.255", "IBM"),
    ("168.63.129.16", "168.63.129.16", "Azure"),
    ("169.254.0.0", "169.254.255.255", "link-local"),
    ("169.254.169.254", "169.254.169.254", "metadata"),
    ("169.254.170.2", "169.254.170.2", "metadata"),
    ("172.16.0.0", "172.31.255.255", "private"),
    ("192.0.0.0", "192.0.0.255", "reserved"),
    ("192.0.0.192", "192.0.0.192", "Oracle"),
    ("192.0.2.0", "192.0.2.255", "documentation"),
    ("192.31.196.0", "192.31.196.255", "AS112"),
    ("192.52.193.0", "192.52.193.255", "AMT"),
    ("192.88.99.0", "192.88.99.255", "6to4"),
    ("192.168.0.0", "192.168.255.255", "private"),
    ("192.175.48.0", "192.175.48.255", "AS112"),
    ("198.18.0.0", "198.19.255.255", "benchmarking"),
    ("198.51.100.0", "198.51.100.255", "documentation"),
    ("199.36.153.4", "199.36.153.7", "Google"),
    ("199.36.153.8", "199.36.153.11", "Google"),
    ("203.0.113.0", "203.0.113.255", "documentation"),
    ("224.0.0.0", "239.255.255.255", "multicast"),
    ("240.0.0.0", "255.255.255.254", "reserved"),
    ("255.255.255.255", "255.255.255.255", "broadcast"),
    ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not a global address"),
    ("::2", "::ffff:ffff", "IPv4-compatible"),
    ("::", "::", "unspecified"),
    ("::1", "::1", "loopback"),
    ("::ffff:0:0:0", "::ffff:0:ffff:ffff", "IPv4-translated"),
    ("64:ff9b::", "64:ff9b::ffff:ffff", "NAT64"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "NAT64"),
    ("100::", "100::ffff:ffff:ffff:ffff", "discard-only"),
    ("2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "AS112"),
    ("3ffe::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6bone"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "SRv6"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ULA"),
    ("fd00:42::42", "fd00:42::42", "Scaleway"),
    ("fd00:ec2::", "fd00:ec2:ffff:ffff:ffff:ffff:ffff:ffff", "Amazon"),
    ("fd00:ec2::254", "fd00:ec2::254", "Amazon's metadata"),
    ("fd20:ce::254", "fd20:ce::254", "Google"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
]
NEIGHBOURS = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "161.25.255.255",
    "161.27.0.0",
    "166.7.255.255",
    "166.12.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "199.36.153.3",
    "199.36.153.12",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2001:200::",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::",
    "2003::",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "3fff:1000::",
]


@pytest.mark.parametrize(("first", "last", "reason"), ROWS)
def test_a_network_that_must_not_be_reached_is_refused_to_its_edges(first: str, last: str, reason: str) -> None:
    for text in (first, last):
        assert reason in (why_refused(ip_address(text)) or "")


def test_every_row_of_the_table_is_tried_here() -> None:
    untried = [
        text
        for text in REFUSED
        if not any(ip_address(first) in ip_network(text) and reason in REFUSED[text] for first, _, reason in ROWS)
    ]
    assert untried == []


def test_the_page_for_operators_has_every_row_of_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/network.md").read_text()
    told = re.findall(r"^\| `([0-9a-f:.]+/\d+)`[^|]* \| (.+) \|$", page, re.MULTILINE)
    assert dict(told) == REFUSED


@pytest.mark.parametrize("text", NEIGHBOURS)
def test_what_lies_beside_a_refused_network_is_reached(text: str) -> None:
    assert why_refused(ip_address(text)) is None


@given(st.ip_addresses())
def test_what_python_knows_not_to_be_global_is_refused(address: IPv4Address | IPv6Address) -> None:
    inner = getattr(address, "ipv4_mapped", None) or address
    if not inner.is_global or inner.is_multicast or inner.is_reserved:
        assert why_refused(address) is not None


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_the_same_inside_an_ipv4_mapped_one(address: IPv4Address) -> None:
    assert why_refused(IPv6Address(f"::ffff:{address}")) == why_refused(address)


@given(st.ip_addresses(v=4))
def test_no_other_ipv6_form_of_an_ipv4_address_is_reached(address: IPv4Address) -> None:
    number = int(address)
    high, low = number >> 16, number & 0xFFFF
    for form in (
        f"::{address}",
        f"::ffff:0:{address}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:{high:x}:{low:x}::1",
    ):
        assert why_refused(IPv6Address(form)) is not None


def test_an_allowed_network_goes_before_the_table_and_its_neighbours_do_not() -> None:
    allowed = (ip_network("10.20.0.0/16"), ip_network("fd12::/16"))
    assert why_refused(ip_address("10.20.3.4"), allowed) is None
    assert why_refused(ip_address("::ffff:10.20.3.4"), allowed) is None
    assert why_refused(ip_address("fd12::1"), allowed) is None
    assert why_refused(ip_address("10.21.0.0"), allowed) == "private"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("example.com", 443)),
        ("https://example.com/", Target("example.com", 443)),
        ("HTTPS://Hooks.Example.COM:8443/a//b?c[]=1&d=%2F#"[:-1], Target("hooks.example.com", 8443)),
        ("https://xn--mller-kva.example/x", Target("xn--mller-kva.example", 443)),
        ("https://my_host.example.com?x", Target("my_host.example.com", 443)),
        ("https://1and1.com/", Target("1and1.com", 443)),
        ("https://8.8.8.8:1024/", Target("8.8.8.8", 1024, ip_address("8.8.8.8"))),
        (
            "https://[2606:4700:4700::1111]:65535/",
            Target("2606:4700:4700::1111", 65535, ip_address("2606:4700:4700::1111")),
        ),
        ("https://example.com:80/", Target("example.com", 80)),
    ],
)
def test_a_plain_url_is_taken(url: str, target: Target) -> None:
    assert check_url(url) == target


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.com/", "url.http"),
        ("ftp://example.com/", "url.malformed"),
        ("example.com", "url.malformed"),
        ("", "url.malformed"),
        ("https:/example.com", "url.malformed"),
        ("https:example.com", "url.malformed"),
        ("//example.com", "url.malformed"),
        ("https://", "url.host"),
        ("https:///path", "url.host"),
        ("https://:443/", "url.host"),
        ("https://example.com:/", "url.host"),
        ("https://example.com:x/", "url.host"),
        ("https://example.com:443:443/", "url.host"),
        ("https://example.com:0/", "url.port"),
        ("https://example.com:22/", "url.port"),
        ("https://example.com:1023/", "url.port"),
        ("https://example.com:65536/", "url.port"),
        ("https://example.com:000443/", "url.host"),
        ("https://user@example.com/", "url.credentials"),
        ("https://user:secret@example.com/", "url.credentials"),
        ("https://@example.com/", "url.credentials"),
        ("https://example.com/#part", "url.fragment"),
        ("https://example.com/#", "url.fragment"),
        ("https://example.com./", "url.host"),
        ("https://example..com/", "url.host"),
        ("https://-example.com/", "url.host"),
        ("https://example.com-/", "url.host"),
        (f"https://{'a' * 64}.com/", "url.host"),
        (f"https://{'a.' * 126}com/", "url.host"),
        ("https://exam%70le.com/", "url.host"),
        ("https://müller.example/", "url.characters"),
        ("https://example.com/ä", "url.characters"),
        ("https://example.com/a b", "url.characters"),
        ("https://example.com/\r\nX: y", "url.characters"),
        ("https://example.com/\n", "url.characters"),
        (" https://example.com/", "url.characters"),
        ("https:\\\\example.com", "url.characters"),
    ],
)
def test_what_is_no_plain_url_is_refused(url: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_url(url, field="url")
    assert (refused.value.code, refused.value.field) == (code, "url")
    assert refused.value.hint


def test_http_is_taken_where_it_is_allowed() -> None:
    assert check_url("http://example.com/", allow_http=True) == Target("example.com", 80)


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(Invalid) as refused:
        check_url("https://user:hunter2@example.com/")
    assert "hunter2" not in f"{refused.value.message} {refused.value.hint}"


def test_a_url_is_taken_up_to_its_longest_and_not_beyond() -> None:
    longest = "https://example.com/".ljust(LONGEST_URL, "x")
    assert check_url(longest).host == "example.com"
    with pytest.raises(TooLarge, match=str(LONGEST_URL + 1)):
        check_url(longest + "x")


@pytest.mark.parametrize("name", ["printer", *INNER_NAMES, *(f"a.{name}" for name in INNER_NAMES)])
def test_an_inner_name_is_refused_unless_networks_are_allowed(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_url(f"https://{name}/")
    assert refused.value.code == "url.inner_name"
    assert check_url(f"https://{name}/", (ip_network("10.0.0.0/8"),)).host == name


def test_a_name_that_only_ends_like_an_inner_one_is_taken() -> None:
    assert check_url("https://notlocal.example.com/").host == "notlocal.example.com"
    assert check_url("https://mylocalhost.com/").host == "mylocalhost.com"


PIECES = "example.com 127.0.0.1 8.8.8.8 [::1] [2606:4700:0::1] @ : 443 / \\ %2f ? # . .. 0x7f xn--a a_b -".split()


@given(st.one_of(urls(), st.text(), st.lists(st.sampled_from(PIECES)).map(lambda each: f"https://{''.join(each)}")))
@example("https://0x7f.1/")
@example("https://[::1]%2f@example.com")
@example("https://[2606:4700:0:0::1]:8443")
def test_a_url_is_refused_or_read_as_the_http_client_reads_it(url: str) -> None:
    try:
        target = check_url(url, allow_http=True)
    except Invalid:
        return
    read = URL(url)
    host = read.raw_host or ""
    assert (read.port, read.raw_user, read.raw_password) == (target.port, None, None)
    assert ip_address(host) == target.address if target.address else host == target.host
