"""Passwords: only what argon2id (RFC 9106) makes of them is kept; a check takes as long where there is none.

Each check costs 64 MB and some tens of milliseconds of one core: a few at a time, in threads.
"""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

AT_ONCE = 4

_hasher = PasswordHasher()
_none = _hasher.hash("there is no such password")


class Passwords:
    """Hashes and checks, `AT_ONCE` at the same time in one process."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> bytes:
        """What is kept of the password."""
        async with self._room:
            return (await asyncio.to_thread(_hasher.hash, password)).encode()

    async def matches(self, kept: bytes | None, password: str) -> bool:
        """Whether the password is the kept one; without one it takes the same time and is False."""
        async with self._room:
            right = await asyncio.to_thread(_verify, kept.decode() if kept else _none, password)
        return right and kept is not None


def _verify(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (Argon2Error, InvalidHashError):
        return False
