"""Ids that are looked up in a live system: a real worker, and the stand-in for Stripe."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable

import pytest

from tests.cli.test_local import Done, cli, environ, init, running
from tests.cli.test_redelivery import working

__all__ = ["cli", "environ"]


def test_a_customer_is_looked_up(
    environ: dict[str, str], cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        running(environ, "sandbox", "--system", "stripe", "--port", "0") as (_, told),
        running(environ, "serve", "--port", "0") as (_, url),
    ):
        stand_in, _, key = told.partition("\tkey ")
        form = urllib.parse.urlencode({"name": "Acme Ltd", "email": "ap@acme.example"}).encode()
        request = urllib.request.Request(f"{stand_in}/v1/customers", form, {"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            customer = json.load(answer)["id"]
        init(cli, url)
        refused = cli("integrations", "choices", "stripe-test", "Customer")
        assert (refused.returncode, "no credential for it that works" in refused.stderr) == (4, True)
        with working(environ | {"TOLLBRIDGE_VENDOR_URLS": f"STRIPE_TEST={stand_in}"}):
            monkeypatch.setenv("STRIPE_KEY", key)
            create = (
                "credentials",
                "create",
                "--system",
                "stripe-test",
                "--name",
                "Trial",
                "--secret-env",
                "STRIPE_KEY",
            )
            done = cli(*create)
            while "no worker is running" in done.stderr:
                done = cli(*create)
            assert done.returncode == 0, done.stderr
            found = cli("integrations", "choices", "stripe-test", "Customer", customer, "--credential", "Trial")
            assert customer in found.stdout, found.stderr
            assert "Acme Ltd, ap@acme.example" in found.stdout
            told = json.loads(cli("integrations", "choices", "stripe-test", "Customer", "--json").stdout)
            assert (told["choices"][0]["id"], told["more"]) == (customer, False)
            none = cli("integrations", "choices", "stripe-test", "TaxRate", "nothing")
            assert "There are none with these words." in none.stderr + none.stdout
