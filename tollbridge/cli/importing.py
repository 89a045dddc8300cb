"""`tollbridge import`: a file, as a stream, into the bulk endpoints of the API; what is refused is told by its line."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from tollbridge.cli.common import AsJson, Exit, complain
from tollbridge.cli.output import put, put_json, say
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain import focus
from tollbridge.domain.errors import Invalid, NotFound
from tollbridge.services import sources
from tollbridge.services.sources import Item, Lines, Refused

BATCH_ITEMS = 500
BATCH_BYTES = 4 * 1024 * 1024
SHOWN = 20
"""Refusals that are told on stderr; the rest is counted."""

Send = Callable[[str, bytes], dict[str, Any]]


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"
    FOCUS = "focus"


class Kind(StrEnum):
    BILLS = "bills"
    ACCOUNTS = "accounts"
    PRODUCTS = "products"
    EXTERNAL_MAPPINGS = "externalmappings"
    EVENTS = "events"


@dataclass(slots=True)
class Tally:
    """What became of the things of one file."""

    counts: Counter[str] = field(default_factory=Counter)
    shown: list[dict[str, Any]] = field(default_factory=list)
    keep: Callable[[bytes], object] = lambda source: None
    changed: Callable[[], None] = lambda: None

    def add(self, **counts: int) -> None:
        self.counts.update(counts)
        self.changed()

    def refuse(self, line: int, source: bytes, told: dict[str, Any]) -> None:
        self.counts.update(refused=1)
        self.keep(source)
        if len(self.shown) < SHOWN:
            refusal = {"line": line, **{key: told.get(key) for key in ("id", "field", "message", "hint")}}
            self.shown.append({key: value for key, value in refusal.items() if value is not None})
        self.changed()

    def refuse_here(self, refused: Refused) -> None:
        refusal = refused.refusal
        told = {"id": refused.id, "field": refusal.field, "message": refusal.message, "hint": refusal.hint}
        self.refuse(refused.line, refused.source, told)


def import_(
    file: Annotated[str, typer.Argument(help="The file, or - for standard input.")],
    format: Annotated[
        Format | None, typer.Option(help="How the file is written. Default: csv where its name says so, else jsonl.")
    ] = None,
    kind: Annotated[
        Kind, typer.Option(help="What the file holds; a FOCUS file gives accounts and bills.")
    ] = Kind.BILLS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check the file, send nothing. Needs no server.")
    ] = False,
    refused: Annotated[
        Path | None, typer.Option("--refused", metavar="FILE", help="Write refused lines there, as they stand.")
    ] = None,
    email: Annotated[
        str, typer.Option(help="FOCUS: e-mail address of new accounts, which the format has not.")
    ] = focus.EMAIL,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Import bills, accounts, products, external mappings or events from a file of any size.

    Example: tollbridge import bills.jsonl --refused refused.jsonl

    A CSV file names its columns as the API names the fields: id, accountId, billDate, currency, billTotal, and for
    each line item lineItems.description, lineItems.quantity, lineItems.subtotal and so on. One row is one line item;
    the rows of a bill stand together. Exit code 1 when something was refused.
    """
    chosen = format or (Format.CSV if file.lower().endswith(".csv") else Format.JSONL)
    if chosen is Format.FOCUS and kind is not Kind.BILLS:
        raise typer.BadParameter("a FOCUS file gives accounts and bills; leave --kind out", param_hint="--kind")
    send = _check_only if dry_run else _sender(profile)
    tally = Tally()
    with ExitStack() as stack:
        lines = Lines(stack.enter_context(_opened(file)))
        if refused is not None:
            tally.keep = stack.enter_context(refused.open("wb")).write
        tally.changed = stack.enter_context(_progress(file, lines, tally))
        if chosen is Format.FOCUS:
            _import_focus(lines, tally, send, email, new_only=not dry_run, profile=profile)
        else:
            found = sources.read_jsonl(lines) if chosen is Format.JSONL else sources.read_csv(lines, kind)
            _import(kind, found, tally, send)
    _report(tally, kept=refused, dry_run=dry_run, as_json=as_json)


def _import(kind: str, found: Iterable[Item | Refused], tally: Tally, send: Send, accepted: str = "accepted") -> None:
    """Send what was found in batches; `accepted` is the name under which the accepted are counted."""
    batch: list[Item] = []
    size = 0
    for each in found:
        if isinstance(each, Refused):
            tally.refuse_here(each)
            continue
        if batch and (len(batch) == BATCH_ITEMS or size + len(each.text) > BATCH_BYTES):
            _send(kind, batch, tally, send, accepted)
            batch, size = [], 0
        batch.append(each)
        size += len(each.text) + 1
    if batch:
        _send(kind, batch, tally, send, accepted)


def _send(kind: str, batch: list[Item], tally: Tally, send: Send, accepted: str) -> None:
    answer = send(kind, b"\n".join(item.text for item in batch))
    for refusal in answer["refusals"]:
        item = batch[refusal["line"] - 1]
        tally.refuse(item.line, item.source, refusal)
    tally.add(**{accepted: answer["accepted"], "unchanged": answer["unchanged"]})


def _import_focus(lines: Lines, tally: Tally, send: Send, email: str, *, new_only: bool, profile: str) -> None:
    """Accounts that exist stay as they are; bills are replaced where the file says something else about them."""
    charges, refused = sources.read_focus(lines)
    for each in refused:
        tally.refuse_here(each)
    for line, identity in charges.refused_bills():
        cause = f"The bill {identity} is left out: a charge of it, on line {line}, was refused."
        tally.refuse(line, b"", {"id": identity, "message": cause, "hint": "Correct that line and import again."})
    accounts = list(charges.accounts(email))
    if new_only:
        accounts = _without_known(accounts, profile)
    tally.add(charges=charges.rows, accounts=0)
    _import(Kind.ACCOUNTS, sources.as_items(accounts), tally, send, accepted="accounts")
    _import(Kind.BILLS, sources.as_items(charges.bills()), tally, send)


def _without_known(accounts: list[dict[str, Any]], profile: str) -> list[dict[str, Any]]:
    from tollbridge.cli.client import PAGE_SIZE, Client

    client = Client(read_profile(profile))
    known: set[str] = set()
    for start in range(0, len(accounts), PAGE_SIZE):
        ids = [account["id"] for account in accounts[start : start + PAGE_SIZE]]
        known.update(account["id"] for account in client.pages("accounts", ids=ids))
    return [account for account in accounts if account["id"] not in known]


def _sender(profile: str) -> Send:
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    return lambda kind, content: client.send("POST", ("imports", kind), content, "application/x-ndjson") or {}


def _check_only(kind: str, content: bytes) -> dict[str, Any]:
    """What can be said without a server: whether each line is JSON, and each bill and event right in itself."""
    from tollbridge.domain import json_text
    from tollbridge.domain.bill_input import read_bill
    from tollbridge.domain.event_input import read_event

    check: dict[str, Callable[[Any], object]] = {Kind.BILLS: read_bill, Kind.EVENTS: read_event}
    refusals = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            value = json_text.parse(line)
            if kind in check:
                check[kind](value)
        except Invalid as refusal:
            told = {"field": refusal.field, "message": refusal.message, "hint": refusal.hint}
            refusals.append({"line": number, **told})
        except ValueError as error:
            refusals.append({"line": number, "message": f"The line is not JSON: {error}"})
    return {"accepted": len(lines) - len(refusals), "unchanged": 0, "refusals": refusals}


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115 closed below
    except OSError as error:
        raise NotFound(
            "import.file", f"{file} cannot be read: {error.strerror}.", "Name a file, or - for standard input."
        ) from error
    with opened:
        yield opened


@contextmanager
def _progress(file: str, lines: Lines, tally: Tally) -> Iterator[Callable[[], None]]:
    """A bar with counts and time left on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    size = os.path.getsize(file) if file != "-" and os.path.isfile(file) else None
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Reading", total=size)

        def show() -> None:
            progress.update(task, completed=lines.bytes, description=_counted(tally.counts))

        yield show


def _counted(counts: Counter[str]) -> str:
    names = ("charges", "accounts", "accepted", "unchanged", "refused")
    return ", ".join(f"{counts[name]:,} {name}" for name in names if counts[name] or name in ("accepted", "refused"))


def _report(tally: Tally, *, kept: Path | None, dry_run: bool, as_json: bool) -> None:
    for refusal in tally.shown:
        complain(f"line {refusal['line']}: {refusal['message']}", refusal.get("hint"))
    more = tally.counts["refused"] - len(tally.shown)
    if more > 0:
        say(f"and {more:,} more" + ("" if kept else "; --refused FILE keeps the refused lines"))
    if as_json:
        names = (
            "accepted",
            "unchanged",
            "refused",
            *(name for name in ("accounts", "charges") if name in tally.counts),
        )
        put_json({**{name: tally.counts[name] for name in names}, "refusals": tally.shown, "dryRun": dry_run})
    else:
        put(_counted(tally.counts) + (" (nothing was sent)" if dry_run else ""))
    if tally.counts["refused"]:
        raise typer.Exit(Exit.FAILED)
