"""How the fields of a credential are sealed and opened. The candidate is sealed for the same row as the secrets, so
that it can take their place as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbridge.domain import json_text
from tollbridge.vault import Vault


def seal_fields(vault: Vault, credential_id: str, fields: Mapping[str, Any]) -> bytes:
    """Seal the fields, as plain values, for the credential's row."""
    return vault.seal(json_text.dump(dict(fields)).encode(), f"credentials/{credential_id}")


def open_fields(vault: Vault, credential_id: str, sealed: bytes) -> dict[str, Any]:
    """The fields of the credential; raises Invalid where the key is missing."""
    fields: dict[str, Any] = json_text.parse(vault.open(sealed, f"credentials/{credential_id}"))
    return fields
