"""`tollbridge events`, in this process, against a server on the real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_local import Done, cli, environ, init, running
from tollbridge.cli.events import read_mappings
from tollbridge.domain.errors import Invalid, NotFound
from tollbridge.domain.event_types import EVENT_TYPES

__all__ = ["cli", "environ"]


def test_events_are_submitted_listed_shown_and_explained(
    environ: dict[str, str],
    cli: Callable[..., Done],
    tmp_path: Path,
) -> None:
    file = tmp_path / "event.json"
    file.write_text('{"id": "e1", "eventName": "configuration.contract.created", "new": {"id": "c", "amount": 1.10}}')
    many = tmp_path / "events.jsonl"
    many.write_text('{"id":"e2","eventName":"ingest.validation.failure","new":{"message":"No meter"}}\n{"id":"e3"}\n')
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        assert cli("events", "submit", str(file)).stdout == "e1\tcreated\n"
        assert json.loads(cli("events", "submit", str(file), "--json").stdout)["outcome"] == "unchanged"
        done = cli("import", "--kind", "events", str(many))
        assert (done.returncode, done.stdout) == (1, "1 accepted, 1 refused\n")
        assert "eventName" in done.stderr
        listed = cli("events", "list").stdout.splitlines()
        assert [line.split("\t")[0] for line in listed] == ["e2", "e1"]
        assert listed[0].endswith("No meter")
        only = cli("events", "list", "--type", "configuration.contract.created", "--of", "c", "--json")
        assert json.loads(only.stdout)["id"] == "e1"
        assert '"amount": 1.10' in cli("events", "show", "e1").stdout
        types = cli("events", "types").stdout.splitlines()
        assert [line.split("\t")[0] for line in types] == list(EVENT_TYPES)
        assert "configuration.contract.created\tonly if submitted" in types
        assert "new.billTotal\tdouble" in cli("events", "fields", "billing.bill.created").stdout
        assert cli("events", "groups").stderr == "There are no error events that nobody saw to.\n"
        assert cli("events", "mark", "e1").stdout == "e1 is marked as actioned.\n"
        assert cli("events", "mark", "e1", "--not-actioned").stdout == "e1 is marked as not actioned.\n"
        assert "belongs to no group" in cli("events", "mark", "e1", "--group").stderr
        assert cli("events", "mark", "e1", "--group", "--not-actioned").returncode == 2
        assert "nothing to mend" in cli("events", "mend", "e1", "--yes").stderr
        assert cli("events", "mending", "none").returncode == 3
        assert cli("events", "show", "nothing").returncode == 3
        assert cli("events", "submit", str(tmp_path / "absent")).returncode == 3
        file.write_text("{")
        assert cli("events", "submit", str(file)).returncode == 2


def test_pasted_mappings_are_read_from_a_sheet_and_lines_without_an_id_left_out(tmp_path: Path) -> None:
    file = tmp_path / "mappings.csv"
    file.write_text("name,m3terId,externalId\nAcme,acme,cus_1\nOther,other,\n", "utf-8-sig")
    assert read_mappings(file) == [{"m3terId": "acme", "externalId": "cus_1"}]
    file.write_text("ours,theirs\nacme,cus_1\n")
    with pytest.raises(Invalid, match="columns m3terId and externalId"):
        read_mappings(file)
    with pytest.raises(NotFound):
        read_mappings(tmp_path / "absent")
