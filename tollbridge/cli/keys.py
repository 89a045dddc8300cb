"""`tollbridge keys`: the keys with which this installation seals secrets. A key itself is shown only where a person has
to put it into TOLLBRIDGE_KEY."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from tollbridge.cli.common import AsJson, answer, program, read_settings
from tollbridge.cli.output import put_rows, say
from tollbridge.settings import Settings

if TYPE_CHECKING:
    from tollbridge.vault import Vault

app = typer.Typer(help="Keys that seal secrets.", rich_markup_mode=None, no_args_is_help=True)

COLUMNS = {"fingerprint": "Key", "place": "Place", "sealed": "Sealed values"}


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the fingerprints of the keys, and how many values each sealed. One that sealed none may be removed.

    Example: tollbridge keys list
    """
    from tollbridge.vault import open_vault

    settings = read_settings()
    vault = open_vault(settings)
    counts = asyncio.run(_sealed_by(settings))
    places = {key: str(number) for number, key in enumerate(vault.fingerprints, start=1)}
    rows = [
        {"fingerprint": key.hex(), "place": places.get(key, "missing"), "sealed": counts.get(key, 0)}
        for key in (*places, *(counts.keys() - places.keys()))
    ]
    put_rows(rows, COLUMNS, as_json=as_json, empty="There are no keys.")


@app.command()
def rotate(
    resume: Annotated[
        bool, typer.Option("--resume", help="Make no new key: only seal again what older keys sealed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a new key the first and seal all secrets with it. May be interrupted: go on with --resume.

    With TOLLBRIDGE_KEY set it prints the new value instead and changes nothing: set it at every process, start them
    again, then call with --resume.

    Example: tollbridge keys rotate
    """
    from tollbridge.vault import key_file, new_key, open_vault, put_first

    settings = read_settings()
    vault = open_vault(settings)
    if settings.key and not resume:
        value = f"{new_key()},{settings.key}"
        answer(f"TOLLBRIDGE_KEY={value}", {"key": value, "resealed": 0}, as_json=as_json)
        say(
            "Nothing is changed yet. Stop every process, start it with this value, then run"
            f" `{program()} keys rotate --resume`. To do it without a pause, first start all of them with the new key"
            " at the end of their present value."
        )
        return
    if not resume:
        put_first(key_file(settings), new_key())
        vault = open_vault(settings)
    count = asyncio.run(_reseal(settings, vault))
    told = {"key": None, "fingerprint": vault.current.hex(), "resealed": count}
    answer(f"{count} values are sealed again; {vault.current.hex()} is the key that seals.", told, as_json=as_json)
    if len(vault.fingerprints) > 1:
        say(
            "Start servers and workers again, so that they seal with it too, then run"
            f" `{program()} keys rotate --resume`. Older keys may be removed from the end of"
            f" {'TOLLBRIDGE_KEY' if settings.key else key_file(settings)} once `{program()} keys list` shows that they"
            " sealed nothing; backups from before still need them."
        )


async def _sealed_by(settings: Settings) -> dict[bytes, int]:
    from tollbridge.services import rotation
    from tollbridge.store.db import open_database
    from tollbridge.store.migrate import require_current

    async with open_database(settings) as db:
        await require_current(db.dsn)
        return await rotation.sealed_by(db)


async def _reseal(settings: Settings, vault: Vault) -> int:
    from tollbridge.services import rotation
    from tollbridge.store.db import open_database
    from tollbridge.store.migrate import require_current

    async with open_database(settings) as db:
        await require_current(db.dsn)
        return await rotation.reseal(db, vault)
