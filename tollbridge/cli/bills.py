"""`tollbridge bills` and `tollbridge status`: where each bill stands, and the sums by state, over the API."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import islice
from typing import Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson
from tollbridge.cli.named import id_of
from tollbridge.cli.output import put, put_json, put_rows, say
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain.errors import Invalid

app = typer.Typer(help="Where each bill stands.", rich_markup_mode=None, no_args_is_help=True)

OF_BILL = {"integrationName": "Integration", "state": "State", "externalId": "There", "runId": "Run", "reason": "Why"}
LISTED = {
    "billId": "Bill",
    "billDate": "Date",
    "currency": "Currency",
    "billTotal": "Total",
    "integrationName": "Integration",
    "state": "State",
    "reason": "Why",
}
TOTALS = {
    "period": "Month",
    "integrationName": "Integration",
    "currency": "Currency",
    "state": "State",
    "count": "Bills",
    "sum": "Sum",
}

Period = Annotated[str | None, typer.Option(help="Only bills dated in this month, such as 2026-10.")]
OfIntegration = Annotated[
    str | None,
    typer.Option(
        "--integration", help="Only of this integration: its id or name.", autocompletion=completing.integrations
    ),
]


@app.command("list")
def list_(
    state: Annotated[
        str | None,
        typer.Option(
            help="Only in this state: delivered, running, held, failed, waiting_for_approval, superseded, "
            "before_cut_over, out_of_scope or skipped."
        ),
    ] = None,
    period: Period = None,
    integration: OfIntegration = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """List bills, each once for every integration, with its state there.

    Example: tollbridge bills list --state held --period 2026-10
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    chosen = id_of(client, "integrationconfigs", "integration", integration, "--integration") if integration else None
    found = client.pages("deliveries", state=state, integrationConfigId=chosen, **days_of(period))
    put_rows(islice(found, limit), LISTED, as_json=as_json, empty="There are no such bills.")


@app.command()
def show(
    bill: Annotated[str, typer.Argument(help="Id of the bill.", autocompletion=completing.bills)],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show a bill and what became of it in each integration.

    Example: tollbridge bills show bill-42
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    found = client.get("bills", bill)
    deliveries = client.get("bills", bill, "deliveries")["data"]
    if as_json:
        put_json({"bill": found, "deliveries": deliveries})
        return
    locked = ", locked" if found.get("locked") else ""
    say(
        f"Bill {found['id']} of account {found['accountId']}, {found['billDate']}: "
        f"{found['billTotal']} {found['currency']}, {found['status'].lower()}{locked}, version {found['revision']}"
    )
    put_rows(deliveries, OF_BILL, as_json=False, empty="No integration sends bills yet.")


def status(
    period: Period = None,
    integration: OfIntegration = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Count all bills and add them up, by month, integration, currency and state: none is without a state.

    Example: tollbridge status --period 2026-10
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    chosen = id_of(client, "integrationconfigs", "integration", integration, "--integration") if integration else None
    found = client.get("deliveries", "summary", integrationConfigId=chosen, **days_of(period))
    if as_json:
        put_json(found)
        return
    put_rows(found["totals"], TOTALS, as_json=False, empty="There are no bills, or no integration sends them.")
    for gap in found["unmatched"]:
        put(f"{_told(gap)} that no integration is responsible for")
    for gap in found["doubled"]:
        put(f"{_told(gap)} that two integrations of the category {gap['category']} are responsible for")


def days_of(period: str | None) -> dict[str, str]:
    """The days of a month as query parameters."""
    if period is None:
        return {}
    try:
        first = date.fromisoformat(f"{period}-01")
    except ValueError:
        raise Invalid("option.period", f"{period!r} is no month.", "Write it as 2026-10.", "--period") from None
    after = (first + timedelta(days=31)).replace(day=1)
    return {"billDateStart": first.isoformat(), "billDateEnd": after.isoformat()}


def _told(gap: dict[str, Any]) -> str:
    noun = "bill" if gap["count"] == 1 else "bills"
    return f"{gap['period']}: {gap['count']} {noun} over {gap['sum']} {gap['currency']}"
