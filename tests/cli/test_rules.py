"""`tollbridge rules`, in this process, against a server on the real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.test_local import Done, cli, environ, init, running

__all__ = ["cli", "environ"]


def test_rules_are_made_shown_changed_tried_and_deleted(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    on = ("--on", "billing.bill.created")
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        assert "There are none" in cli("rules", "list").stderr
        id = cli("rules", "create", "big", *on, "--when", "new.billTotal > 1000").stdout.strip()
        done = cli("rules", "create", "all", *on, "--always", "--name", "All bills", "--inactive", "--json")
        every = json.loads(done.stdout)
        assert (every["active"], every["alwaysFireEvent"], every["description"]) == (False, True, "All bills")
        bad = cli("rules", "create", "bad", *on, "--when", "new.billTotl > 1")
        assert bad.returncode == 2
        assert "Did you mean new.billTotal?" in bad.stderr
        assert cli("rules", "list").stdout.splitlines() == [
            f"{every['id']}\tall\tAll bills\tbilling.bill.created\tno",
            f"{id}\tbig\tbig\tbilling.bill.created\tyes",
        ]
        assert json.loads(cli("rules", "list", "--active", *on, "--json").stdout)["id"] == id
        assert "when  new.billTotal > 1000" in cli("rules", "show", "big").stdout
        assert "when  always" in cli("rules", "show", "All bills").stdout
        assert cli("rules", "update", "big", "--when", "new.billTotal > 5", "--name", "Big").returncode == 0
        changed = json.loads(cli("rules", "show", id, "--json").stdout)
        assert (changed["calculation"], changed["name"], changed["version"]) == ("new.billTotal > 5", "Big", 2)
        assert cli("rules", "update", "big").returncode == 2
        assert cli("rules", "try", "new.billTotal > 5", *on).stdout == "It can be read.\n"
        wrong = cli("rules", "try", "new.billTotal >", *on)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert "line 1, column 16" in wrong.stderr
        assert cli("rules", "try", "true", *on, "--event", "e").returncode == 2
        assert cli("rules", "try", "true", "--event", "e").returncode == 3
        assert cli("rules", "delete", "big").stdout == f"{id} is deleted.\n"
        assert cli("rules", "show", "big").returncode == 2


def test_a_calculation_is_tried_on_an_event(environ: dict[str, str], cli: Callable[..., Done], tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text('{"id": "e1", "eventName": "configuration.contract.created", "new": {"id": "c"}}')
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        cli("events", "submit", str(file))
        assert cli("rules", "try", "new.id == 'c'", "--event", "e1").stdout == "It is true: a rule would fire.\n"
        assert cli("rules", "try", "new.id == 'd'", "--event", "e1").stdout == "It is not true.\n"
