"""Random tokens that a person's browser holds, and what is kept of them."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """43 characters that nobody guesses and that may stand in an address."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """What is stored of a token. Tokens are random, so one fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
