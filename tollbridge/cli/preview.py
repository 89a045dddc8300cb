"""`tollbridge preview`: the requests that would be sent for a bill, over the API; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson
from tollbridge.cli.credentials import Pairs, read_pairs
from tollbridge.cli.named import id_of
from tollbridge.cli.output import put, put_json
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile


def preview(
    bill: Annotated[str, typer.Argument(help="Id of the bill.", autocompletion=completing.bills)],
    integration: Annotated[
        str, typer.Option(help="The integration: its id or name.", autocompletion=completing.integrations)
    ],
    options: Pairs = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show the requests that would be sent for a bill, step by step, and where each value comes from.

    Reads are really made, writes are not. With --set, options are changed for this preview alone.

    Example: tollbridge preview bill-42 --integration Invoices --set finish=draft
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    chosen = id_of(client, "integrationconfigs", "integration", integration, "--integration")
    body: dict[str, Any] = {"billId": bill}
    if options:
        known = client.get("integrationconfigs", chosen).get("configData", {})
        body["configData"] = {**known, **read_pairs(options)}
    found = client.call("POST", "integrationconfigs", chosen, "preview", body=body)
    if as_json:
        put_json(found)
        return
    for line in lines_of(found):
        put(line)


def lines_of(found: dict[str, Any]) -> Iterator[str]:
    """The preview for people."""
    yield f"Bill {found['billId']} → {found['system']}: {found['calls']} requests, {found['writes']} of them writes"
    for number, step in enumerate(found["steps"], start=1):
        asked = f"{step['request']['method']} {step['request']['path']}"
        yield ""
        yield f"{number:>3} {step['name']}   {asked}   {'made' if step['sent'] else 'not sent'}"
        widest = max((len(field["name"]) for field in step["fields"]), default=0)
        for field in step["fields"]:
            value = " ".join(str(field["value"]).split())
            yield f"      {field['name']:<{widest}}  {value}   ← {', '.join(field['sources'])}"
    yield ""
    for warning in found["warnings"]:
        yield f"{typer.style('warning', fg='yellow')}: {warning}"
    yield _outcome(found["outcome"])


def _outcome(outcome: dict[str, Any]) -> str:
    match outcome["kind"]:
        case "delivered":
            return f"It would be delivered with a total of {outcome['total']} {outcome['currency']}."
        case "skipped":
            return f"It would be skipped: {outcome['reason']}."
        case "failed":
            return f"{typer.style('It would fail', fg='red')}: {outcome['message']}\nhint: {outcome['hint']}"
    return "How it would end cannot be foreseen."
