"""Seal and open secrets: AES-GCM with a key ring, bound to the row they belong to."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tollbridge.domain.errors import Invalid
from tollbridge.settings import Settings

_KEY_ID = 4
_NONCE = 12


class Vault:
    """Seals with the first key of the ring and opens with any.

    A sealed value is the key's fingerprint (4 bytes), a random nonce (12 bytes) and the AES-256-GCM cipher text, whose
    associated data names the row, so that a value copied to another row does not open.
    """

    def __init__(self, keys: list[bytes]) -> None:
        self._ring = {_fingerprint(key): AESGCM(key) for key in keys}
        self._current = _fingerprint(keys[0])
        self._key = keys[0]

    def derive(self, purpose: str) -> bytes:
        """32 bytes that only holders of the key can make, others for every purpose (HKDF, RFC 5869)."""
        return HKDFExpand(SHA256(), 32, f"tollbridge {purpose}".encode()).derive(self._key)

    def seal(self, plain: bytes, row: str) -> bytes:
        """Seal for the row, named such as `credentials/<id>`."""
        nonce = secrets.token_bytes(_NONCE)
        return self._current + nonce + self._ring[self._current].encrypt(nonce, plain, row.encode())

    def open(self, sealed: bytes, row: str) -> bytes:
        """Open what was sealed for the row; raises Invalid where the key is missing or the value is another row's."""
        key = self._ring.get(sealed[:_KEY_ID])
        if key is None:
            raise Invalid(
                "vault.key_unknown",
                f"The secret of {row} was sealed with another key.",
                "Set TOLLBRIDGE_KEY to the key with which this database was filled.",
            )
        try:
            return key.decrypt(sealed[_KEY_ID : _KEY_ID + _NONCE], sealed[_KEY_ID + _NONCE :], row.encode())
        except InvalidTag:
            raise Invalid(
                "vault.damaged",
                f"The secret of {row} was changed or belongs to another row.",
                "Enter the secret again.",
            ) from None


def open_vault(settings: Settings) -> Vault:
    """The vault with the key of `TOLLBRIDGE_KEY`, else of the file `key` in the home folder, made at first use."""
    if settings.key:
        return Vault([_decode(settings.key, "TOLLBRIDGE_KEY")])
    path = settings.home / "key"
    return Vault([_decode(_read_or_make(path), str(path))])


def _read_or_make(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, not a rename: of several first starts one wins and the others read its key.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text()


def _decode(text: str, source: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Invalid(
            "vault.key_malformed",
            f"The key in {source} is not 32 bytes as base64.",
            "Make one with: openssl rand -base64 32",
        )
    return key


def _fingerprint(key: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(b"tollbridge key id" + key)
    return digest.finalize()[:_KEY_ID]
