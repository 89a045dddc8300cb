"""Seal and open secrets: AES-GCM with a key ring, bound to the row they belong to."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tollbridge.domain.errors import Invalid
from tollbridge.settings import Settings

KEY_ID = 4
"""Bytes of a key's fingerprint, with which each sealed value begins."""
_NONCE = 12


class Vault:
    """Seals with the first key of the ring and opens with any.

    A sealed value is the key's fingerprint (4 bytes), a random nonce (12 bytes) and the AES-256-GCM cipher text, whose
    associated data names the row, so that a value copied to another row does not open. `reload` reads the ring anew: a
    key that was added while this process runs is found when it is first needed.
    """

    def __init__(self, keys: Sequence[bytes], reload: Callable[[], Sequence[bytes]] | None = None) -> None:
        self._keys = tuple(keys)
        self._reload = reload
        self._ring = {fingerprint(key): AESGCM(key) for key in keys}
        self.current = fingerprint(keys[0])
        """The fingerprint of the key that seals."""

    @property
    def fingerprints(self) -> tuple[bytes, ...]:
        """Of all keys of the ring, the one that seals first."""
        return tuple(self._ring)

    def derive(self, purpose: str) -> bytes:
        """32 bytes that only holders of the first key can make, others for every purpose (HKDF, RFC 5869)."""
        return _derive(self._keys[0], purpose)

    def derive_older(self, purpose: str) -> list[bytes]:
        """The same of the other keys of the ring, for what was made before a rotation."""
        return [_derive(key, purpose) for key in self._keys[1:]]

    def seal(self, plain: bytes, row: str) -> bytes:
        """Seal for the row, named such as `credentials/<id>`."""
        nonce = secrets.token_bytes(_NONCE)
        return self.current + nonce + self._ring[self.current].encrypt(nonce, plain, row.encode())

    def open(self, sealed: bytes, row: str) -> bytes:
        """Open what was sealed for the row; raises Invalid where the key is missing or the value is another row's."""
        key = self._ring.get(sealed[:KEY_ID]) or self._read_anew().get(sealed[:KEY_ID])
        if key is None:
            raise Invalid(
                "vault.key_unknown",
                f"The secret of {row} was sealed with another key ({sealed[:KEY_ID].hex()}).",
                "Add the key with which it was sealed to TOLLBRIDGE_KEY or to the key file; `tollbridge keys list`"
                " shows fingerprints.",
            )
        try:
            return key.decrypt(sealed[KEY_ID : KEY_ID + _NONCE], sealed[KEY_ID + _NONCE :], row.encode())
        except InvalidTag:
            raise Invalid(
                "vault.damaged",
                f"The secret of {row} was changed or belongs to another row.",
                "Enter the secret again.",
            ) from None

    def _read_anew(self) -> dict[bytes, AESGCM]:
        if self._reload is not None:
            # What seals stays: a process changes its key when it starts.
            self._ring |= {fingerprint(key): AESGCM(key) for key in self._reload()}
        return self._ring


def open_vault(settings: Settings) -> Vault:
    """The vault with the keys of `TOLLBRIDGE_KEY`, else of the file `key` in the home folder, made at first use."""
    if settings.key:
        return Vault(read_keys(settings.key.replace(",", "\n"), "TOLLBRIDGE_KEY"))
    path = key_file(settings)
    return Vault(read_keys(_read_or_make(path), str(path)), lambda: read_keys(path.read_text(), str(path)))


def open_present(settings: Settings) -> Vault | None:
    """The same, but None where there is no key yet; makes none."""
    return open_vault(settings) if settings.key or key_file(settings).exists() else None


def key_file(settings: Settings) -> Path:
    """Where the keys are without `TOLLBRIDGE_KEY`: one on a line, the one that seals first."""
    return settings.home / "key"


def read_keys(text: str, source: str) -> list[bytes]:
    """The keys, one on a line; raises Invalid that names the source."""
    return [_decode(line, source) for line in text.split("\n") if line.strip()] or [_decode("", source)]


def new_key() -> str:
    """A fresh key, as it is written down."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def put_first(path: Path, key: str) -> None:
    """Make this key of the file the one that seals; the others stay. The file changes at once or not at all."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    _write(beside, key + "\n" + path.read_text())
    beside.replace(path)


def _read_or_make(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        _write(fresh, new_key() + "\n")
        try:
            # A link, not a rename: of several first starts one wins and the others read its key.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text()


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDFExpand(SHA256(), 32, f"tollbridge {purpose}".encode()).derive(key)


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


def fingerprint(key: bytes) -> bytes:
    """What names a key without telling it."""
    digest = Hash(SHA256())
    digest.update(b"tollbridge key id" + key)
    return digest.finalize()[:KEY_ID]
