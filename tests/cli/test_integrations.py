"""`tollbridge integrations`: shown, disabled and enabled, against a server on the real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

from tests.cli.test_local import Done, cli, environ, init, running
from tollbridge.cli.client import Client
from tollbridge.cli.profiles import DEFAULT, read_profile

__all__ = ["cli", "environ"]


def test_an_integration_is_shown_disabled_and_enabled(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        id = cli("integrations", "create", "--system", "stripe-test", "--name", "Invoices").stdout.strip()
        shown = cli("integrations", "show", "Invoices").stdout
        assert "Errors in a row:  0 of 10\n" in shown
        assert "Held:             0\n" in shown
        assert cli("integrations", "disable", "Invoices").returncode == 2
        done = cli("integrations", "disable", "Invoices", "--reason", "Closing the books")
        assert done.stdout == f"{id} is disabled.\n"
        assert "Disabled:         Closing the books\n" in cli("integrations", "show", id).stdout
        # Nothing is held, so nothing is asked.
        assert cli("integrations", "enable", "Invoices").stdout == f"{id} is enabled.\n"
        made = json.loads(cli("integrations", "show", "Invoices", "--json").stdout)
        assert (made["enabled"], made["disableAfter"]) == (True, 10)


def test_what_is_held_is_asked_about_before_it_is_enabled(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        cli("integrations", "create", "--system", "stripe-test", "--name", "Invoices")
        cli("integrations", "disable", "Invoices", "--reason", "Closing the books")
        client = Client(read_profile(DEFAULT))
        client.call(
            "POST", "accounts", body={"id": "acme", "code": "ACME", "name": "Acme", "emailAddress": "a@b.example"}
        )
        bill = {
            "accountId": "acme",
            "billDate": "2026-10-31",
            "currency": "EUR",
            "billTotal": Decimal("12.50"),
            "lineItems": [{"lineItemType": "USAGE", "description": "Calls", "subtotal": Decimal("12.50")}],
        }
        client.call("PUT", "bills", "b1", body=bill)
        assert "Held:             1 (12.50 EUR)\n" in cli("integrations", "show", "Invoices").stdout
        asked = cli("integrations", "enable", "Invoices")
        assert asked.returncode == 2
        assert "Held since it was disabled: 1 (12.50 EUR)." in asked.stderr
        assert "--held send or --held drop" in asked.stderr
        assert "is enabled" in cli("integrations", "enable", "Invoices", "--held", "drop").stdout


def test_all_sending_is_paused_and_resumed(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        assert cli("pause").returncode == 2
        assert cli("pause", "--reason", "Closing the books").stdout == "All sending is paused.\n"
        again = cli("pause", "--reason", "Holiday")
        assert again.returncode == 4
        assert "Closing the books" in again.stderr
        told = Client(read_profile(DEFAULT)).get("sending")
        assert (told["paused"], told["reason"], told["heldRuns"]) == (True, "Closing the books", 0)
        assert cli("resume").stdout == "Sending goes on, with 0 that were held.\n"
        assert cli("resume").returncode == 4


def test_an_integration_that_waits_for_a_look_is_continued(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        cli("integrations", "create", "--system", "stripe-test", "--name", "Invoices", "--set", "firstSends=3")
        asked = cli("integrations", "continue", "Invoices")
        assert asked.returncode == 2
        assert "Sent first are 3, then it waits." in asked.stderr
        assert "--yes" in asked.stderr
        assert cli("integrations", "continue", "Invoices", "--yes").stdout == "Runs on their way: 0\n"
        assert "does not wait" in cli("integrations", "continue", "Invoices", "--yes").stderr
