"""Changing the key of the vault: what older keys sealed is sealed again with the first, in batches.

What is done stays done: whoever is interrupted calls again. Processes go on meanwhile, as the ring opens with any key.
"""

from __future__ import annotations

from tollbridge.domain.audit import Action
from tollbridge.services.audit import note
from tollbridge.services.caller import Caller
from tollbridge.services.sealing import credential_row, reply_row
from tollbridge.store import audit, organizations, sealed
from tollbridge.store.db import Connection, Database
from tollbridge.store.sealed import SealedReply, SealedSecrets
from tollbridge.vault import KEY_ID, Vault

BATCH = 200


async def sealed_by(db: Database) -> dict[bytes, int]:
    """How many values each key sealed, by the key's fingerprint."""
    async with db.hot() as connection:
        return await sealed.counts(connection, KEY_ID)


async def reseal(db: Database, vault: Vault) -> int:
    """Seal with the first key what others sealed, and answer how many rows; raises Invalid where a key is missing."""
    done = 0
    for batch in (_reseal_secrets, _reseal_replies):
        count = BATCH
        while count == BATCH:
            async with db.hot() as connection:
                count = await batch(connection, vault)
            done += count
    async with db.transaction() as tx:
        for org_id in await organizations.ids(tx):
            caller = Caller(org_id, audit.present().principal)
            after = {"key": vault.current.hex(), "values": done}
            await note(tx, caller, Action.ROTATE_KEYS, "Organization", org_id, after=after)
    return done


async def _reseal_secrets(connection: Connection, vault: Vault) -> int:
    found = await sealed.lock_secrets(connection, vault.current, BATCH)

    def anew(value: SealedSecrets, part: bytes) -> bytes:
        return _anew(vault, credential_row(value.id), part)

    await sealed.save_secrets(
        connection,
        [
            SealedSecrets(each.org_id, each.id, anew(each, each.secrets), each.candidate and anew(each, each.candidate))
            for each in found
        ],
    )
    return len(found)


async def _reseal_replies(connection: Connection, vault: Vault) -> int:
    found = await sealed.lock_replies(connection, vault.current, BATCH)
    await sealed.save_replies(
        connection,
        [
            SealedReply(each.run_id, each.key, _anew(vault, reply_row(each.run_id, each.key), each.reply))
            for each in found
        ],
    )
    return len(found)


def _anew(vault: Vault, row: str, value: bytes) -> bytes:
    return vault.seal(vault.open(value, row), row)
