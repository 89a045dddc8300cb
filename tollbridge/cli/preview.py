"""`tollbridge preview`: the requests that would be sent for a bill, over the API; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson, Exit, complain
from tollbridge.cli.credentials import Pairs, read_pairs
from tollbridge.cli.named import id_of
from tollbridge.cli.output import put, put_json
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile

if TYPE_CHECKING:
    from tollbridge.cli.client import Client

POLL = 0.5


def preview(
    bill: Annotated[
        str | None, typer.Argument(help="Id of the bill.", show_default=False, autocompletion=completing.bills)
    ] = None,
    integration: Annotated[
        str | None, typer.Option(help="The integration: its id or name.", autocompletion=completing.integrations)
    ] = None,
    options: Pairs = None,
    run: Annotated[str | None, typer.Option(help="Show the preview of this run, which was asked for before.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, however long it takes.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show the requests that would be sent for a bill, step by step, and where each value comes from.

    Reads are really made, writes are not. With --set, options are changed for this preview alone. One that takes longer
    than ten seconds is shown later with --run, or waited for with --wait.

    Example: tollbridge preview bill-42 --integration Invoices --set finish=draft
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    if run is not None and bill is None and integration is None and not options:
        found = client.get("integrationruns", run, "preview")
    elif run is None and bill is not None and integration is not None:
        found = _ask(client, bill, integration, options)
    else:
        raise typer.BadParameter("give the bill and --integration, or --run alone")
    while wait and _under_way(found):
        time.sleep(POLL)
        found = client.get("integrationruns", found["runId"], "preview")
    if as_json:
        put_json(found)
    elif not _under_way(found):
        for line in lines_of(found):
            put(line)
    if _under_way(found):
        complain("The preview is still under way.", f"Fetch it: tollbridge preview --run {found['runId']} --wait")
        raise typer.Exit(Exit.FAILED)


def _ask(client: Client, bill: str, integration: str, options: list[str] | None) -> dict[str, Any]:
    chosen = id_of(client, "integrationconfigs", "integration", integration, "--integration")
    body: dict[str, Any] = {"billId": bill}
    if options:
        known = client.get("integrationconfigs", chosen).get("configData", {})
        body["configData"] = {**known, **read_pairs(options)}
    found: dict[str, Any] = client.call("POST", "integrationconfigs", chosen, "preview", body=body)
    return found


def _under_way(found: dict[str, Any]) -> bool:
    return "steps" not in found


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
        case "needs_choice":
            choices = [f"choice: {each['choice'].replace('_', '-')}: {each['text']}" for each in outcome["choices"]]
            return "\n".join([f"It would be held for a person: {outcome['reason']}", *choices])
    return "How it would end cannot be foreseen."
