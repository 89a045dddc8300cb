"""How credentials and recorded replies are sealed and opened.

The candidate of a credential is sealed for the same row as its secrets, so that it can take their place as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.flows import Reply
from tollbridge.vault import Vault


def credential_row(credential_id: str) -> str:
    """What a credential's secrets are sealed for."""
    return f"credentials/{credential_id}"


def reply_row(run_id: str, key: str) -> str:
    """What the kept reply of a step is sealed for."""
    return f"run_records/{run_id}/{key}"


def seal_fields(vault: Vault, credential_id: str, fields: Mapping[str, Any]) -> bytes:
    """Seal the fields, as plain values, for the credential's row."""
    return vault.seal(json_text.dump(dict(fields)).encode(), credential_row(credential_id))


def open_fields(vault: Vault, credential_id: str, sealed: bytes) -> dict[str, Any]:
    """The fields of the credential; raises Invalid where the key is missing."""
    fields: dict[str, Any] = json_text.parse(vault.open(sealed, credential_row(credential_id)))
    return fields


def seal_reply(vault: Vault, run_id: str, key: str, reply: Reply) -> bytes:
    """Seal a reply for the record of a step."""
    value = [reply.status, dict(reply.headers), base64.b64encode(reply.body).decode()]
    return vault.seal(json_text.dump(value).encode(), reply_row(run_id, key))


def open_reply(vault: Vault, run_id: str, key: str, sealed: bytes) -> Reply:
    """The reply that was kept for the step."""
    status, headers, body = json_text.parse(vault.open(sealed, reply_row(run_id, key)))
    return Reply(status, headers, base64.b64decode(body))
