"""People who use the Console: which roles they may have, what a password must be, how often one may try to sign in.

Decisions only; nothing here hashes, stores or knows a session.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tollbridge.domain.access import Role
from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import Rule, printable, text

ROLES = tuple(role for role in Role if role is not Role.SOURCE)
"""The roles that a person may have, the strongest first; a source is a program."""

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 200

KNOWN_FOR = timedelta(days=90)
"""How long an address counts as known from which a person was signed in."""


class Purpose(StrEnum):
    """What a one-time link is for."""

    INVITATION = "INVITATION"
    RESET = "RESET"
    SIGN_IN = "SIGN_IN"


LIFETIMES: Mapping[Purpose, timedelta] = {
    Purpose.INVITATION: timedelta(days=7),
    Purpose.RESET: timedelta(hours=1),
    Purpose.SIGN_IN: timedelta(minutes=10),
}
LONGEST_INVITATION = timedelta(days=30)


def mail_address() -> Rule:
    """An e-mail address; kept in small letters, so that one person is one user."""
    inner = text(least=3, most=320, pattern=r"[^@\s]+@[^@\s]+", says="an e-mail address such as ap@example.com")
    return Rule(lambda value, path: inner.check(value, path).lower(), inner.schema, expected=inner.expected)


def check_password(password: str, mail: str) -> str:
    """The password; raises Invalid, without repeating it, where it would be guessed."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise _weak(f"The password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    printable(password, "password")
    plain = password.lower()
    if len(set(plain)) < 5 or (mail and (mail in plain or plain in mail)):
        raise _weak("The password repeats few characters, or your mail address.")
    return password


def _weak(message: str) -> Invalid:
    return Invalid("password.weak", message, "Take a few words that do not belong together.", "password")


def role_of(groups: Collection[str], roles: Mapping[str, Role]) -> Role | None:
    """The strongest role that one of the groups has, or None."""
    had = {roles[group] for group in groups if group in roles}
    return next((role for role in ROLES if role in had), None)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many tries are allowed at once, and how soon each comes back."""

    burst: int
    every: timedelta

    @property
    def rate(self) -> float:
        """Tries per second."""
        return 1 / self.every.total_seconds()


MAIL_FROM_ADDRESS = Allowance(5, timedelta(minutes=1))
ADDRESS = Allowance(30, timedelta(seconds=10))
MAIL = Allowance(100, timedelta(seconds=30))
"""From all addresses together but those that are known of the person: who tries from many addresses keeps nobody out
of where they usually are, and nobody out for ever."""


def network_of(address: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 network that one customer of a provider has in IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
