"""Which addresses a customer's URL must not lead to, and which URLs are taken at all. Pure: no name is resolved here.

The table is our own: Python's `is_global` differs between versions and calls several of these global. It follows the
IANA registries of special-purpose addresses (RFC 6890 and later) and adds what clouds answer on public addresses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from tollbridge.domain.errors import Invalid, TooLarge

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

LONGEST_URL = 2048
"""Characters of a URL."""
LONGEST_NAME = 253
"""Characters of a host name (RFC 1035 §2.3.4)."""
WEB_PORTS = (80, 443)
"""The ports below 1024 that are reached; the others belong to mail, shells and the like."""
FIRST_FREE_PORT = 1024

REFUSED: dict[str, str] = {
    # IPv4
    "0.0.0.0/8": "unspecified",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by carriers (CGNAT)",
    "100.100.100.200/32": "Alibaba Cloud's metadata",
    "127.0.0.0/8": "loopback",
    "161.26.0.0/16": "IBM Cloud's inner services",
    "166.8.0.0/14": "IBM Cloud's inner services",
    "168.63.129.16/32": "Azure's inner services",
    "169.254.0.0/16": "link-local",
    "169.254.169.254/32": "cloud metadata",
    "169.254.170.2/32": "cloud metadata",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.0.192/32": "Oracle Cloud's metadata",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "a sink for reverse look-ups (AS112)",
    "192.52.193.0/24": "a multicast tunnel (AMT)",
    "192.88.99.0/24": "a 6to4 relay",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "a sink for reverse look-ups (AS112)",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "199.36.153.4/30": "Google Cloud's inner services",
    "199.36.153.8/30": "Google Cloud's inner services",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "255.255.255.255/32": "broadcast",
    # IPv6: only 2000::/3 is global at all, and of that not everything.
    "::/0": "not a global address",
    "::/96": "IPv4-compatible",
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::ffff:0:0:0/96": "IPv4-translated",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "100::/64": "discard-only",
    "2001::/23": "reserved for protocols",
    "2001::/32": "Teredo",
    "2001:2::/48": "benchmarking",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "a sink for reverse look-ups (AS112)",
    "3ffe::/16": "the former 6bone",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing (SRv6)",
    "fc00::/7": "private (ULA)",
    "fd00:42::42/128": "Scaleway's metadata",
    "fd00:ec2::/32": "Amazon's inner services",
    "fd00:ec2::254/128": "Amazon's metadata",
    "fd20:ce::254/128": "Google Cloud's metadata",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
"""Networks that must not be reached, and what they are. The narrowest one around an address tells its reason."""

_GLOBAL_IPV6 = IPv6Network("2000::/3")
_NARROWEST_FIRST: tuple[tuple[Network, str], ...] = tuple(
    sorted(((ip_network(text), reason) for text, reason in REFUSED.items()), key=lambda row: -row[0].prefixlen)
)

INNER_NAMES = (
    "corp",
    "home",
    "home.arpa",
    "in-addr.arpa",
    "internal",
    "intranet",
    "invalid",
    "ip6.arpa",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
    "test",
)
"""Names that mean something only inside a network, with all below them (RFC 6761, RFC 6762, ICANN's `internal`)."""

_PRINTABLE = re.compile(r"[!-~]*")
_NOT_IN_URLS = re.compile(r"[\"<>\\^`{|}]")
_PARTS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?P<fragment>#.*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a URL leads to: a name to resolve, or an `address` that needs no name."""

    host: str
    port: int
    address: Address | None = None


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one (`::ffff:127.0.0.1`): that is what is dialled."""
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def why_refused(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """What the address is, where it must not be reached; None where it may be. `allowed` goes before the table."""
    address = unwrapped(address)
    if any(address in network for network in allowed):
        return None
    for network, reason in _NARROWEST_FIRST:
        if address in network:
            return None if network.prefixlen == 0 and address in _GLOBAL_IPV6 else reason
    return None


def check_address(
    address: Address, allowed: Sequence[Network] = (), *, host: str | None = None, field: str | None = None
) -> None:
    """Raises Invalid that names the address, what it is, and the name that led to it, if any."""
    reason = why_refused(address, allowed)
    if reason is None:
        return
    inner = unwrapped(address)
    shown = str(address) if inner == address else f"{address} (that is {inner})"
    led = f"{host} leads to {shown}" if host else shown
    raise Invalid(
        "url.address",
        f"{led}, which must not be reached: {reason}.",
        "Give an address on the public internet, or have the operator allow the network in TOLLBRIDGE_ALLOW_NETWORKS.",
        field,
    )


def check_url(
    url: str, allowed: Sequence[Network] = (), *, allow_http: bool = False, field: str | None = None
) -> Target:
    """Whom the URL leads to; raises Invalid for what is no plain https URL or leads where it must not.

    Whatever programs read differently is refused, so that the host judged here is the host that is dialled. A name is
    judged by the addresses that it leads to, elsewhere; where no networks are allowed, inner names are refused at once.
    """
    if len(url) > LONGEST_URL:
        raise TooLarge("url.length", f"The URL has {len(url)} characters.", f"At most {LONGEST_URL} are taken.", field)
    if not _PRINTABLE.fullmatch(url) or _NOT_IN_URLS.search(url):
        raise Invalid(
            "url.characters",
            f"{url!a} contains characters that do not belong in a URL.",
            "Write an international name in its ASCII form (xn--…) and percent-encode anything else.",
            field,
        )
    parts = _PARTS.fullmatch(url)
    scheme = parts["scheme"].lower() if parts else ""
    if not parts or scheme not in ("https", "http"):
        raise Invalid("url.malformed", f"{url!r} is not an https URL.", "Write it as https://example.com/path.", field)
    if scheme == "http" and not allow_http:
        raise Invalid(
            "url.http",
            f"{url!r} is not encrypted.",
            "Use https://, or have the operator set TOLLBRIDGE_ALLOW_HTTP=true.",
            field,
        )
    if "@" in parts["authority"]:
        # The URL is not repeated: it holds a secret.
        raise Invalid("url.credentials", "The URL contains a user or password.", "Send secrets in a header.", field)
    if parts["fragment"] is not None:
        raise Invalid("url.fragment", f"{url!r} has a fragment (#…), which is never sent.", "Remove it.", field)
    return _target(parts["authority"], scheme, allowed, field)


def _target(authority: str, scheme: str, allowed: Sequence[Network], field: str | None) -> Target:
    found = _AUTHORITY.fullmatch(authority)
    if not found or not found["host"]:
        raise Invalid("url.host", f"{authority!r} is not a host and port.", "Write it as example.com:8443.", field)
    port = int(found["port"] or (443 if scheme == "https" else 80))
    if not (port in WEB_PORTS or FIRST_FREE_PORT <= port <= 65_535):
        raise Invalid(
            "url.port",
            f"Port {port} is not one for the web.",
            f"Use 443, 80, or a port from {FIRST_FREE_PORT} to 65535.",
            field,
        )
    host = found["host"].lower()
    address = _literal(host, field)
    if address is not None:
        check_address(address, allowed, field=field)
        return Target(host.strip("[]"), port, address)
    _check_name(host, bool(allowed), field)
    return Target(host, port)


def _literal(host: str, field: str | None) -> Address | None:
    """The address that the host is, in its one usual spelling; None where it is a name."""
    bracketed = host.startswith("[")
    # The rule of the WHATWG URL standard: a host whose last label is a number is an address, or nothing.
    if not bracketed and not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return None
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        address = None
    # No octal, hexadecimal, integer or short IPv4; in brackets only IPv6, and without a zone.
    if address is None or isinstance(address, IPv6Address) is not bracketed or "%" in host:
        raise Invalid(
            "url.spelling",
            f"{host!r} is not an address in its usual spelling.",
            "Write four decimal numbers (198.51.100.7), or IPv6 in brackets without a zone.",
            field,
        )
    return address


def _check_name(host: str, inner_allowed: bool, field: str | None) -> None:
    if len(host) > LONGEST_NAME or not _NAME.fullmatch(host):
        raise Invalid(
            "url.host",
            f"{host[:LONGEST_NAME]!r} is not a host name.",
            "Write letters, digits and dashes, without a dot at the end.",
            field,
        )
    if inner_allowed:
        return
    if "." not in host or any(host == name or host.endswith(f".{name}") for name in INNER_NAMES):
        raise Invalid(
            "url.inner_name",
            f"{host!r} is a name inside a network.",
            "Give a public name, or have the operator allow the network in TOLLBRIDGE_ALLOW_NETWORKS.",
            field,
        )
