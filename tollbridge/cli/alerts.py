"""`tollbridge alerts`: what is wrong now and what is done about it, over the API; whether mail goes out from here."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson, Failure, answer, read_settings
from tollbridge.cli.named import id_of
from tollbridge.cli.output import put, put_json, put_rows, show_moment
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain.errors import Invalid
from tollbridge.settings import Settings

app = typer.Typer(help="What is wrong now.", rich_markup_mode=None, no_args_is_help=True)

COLUMNS = {
    "id": "Alert",
    "opened": "Open since (UTC)",
    "severity": "Severity",
    "state": "State",
    "type": "Type",
    "count": "Times",
    "assignee": "Who",
    "description": "Says",
}

TheAlert = Annotated[str, typer.Argument(help="Id of the alert.", autocompletion=completing.alerts)]
ANote = Annotated[str | None, typer.Option("--note", help="What to write down with it.")]


@app.command("list")
def list_(
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones, too.")] = False,
    state: Annotated[str | None, typer.Option(help="Only NEW, IN_PROGRESS or CLOSED.")] = None,
    severity: Annotated[str | None, typer.Option(help="Only INFO, WARN or ERROR.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type, such as RUN_FAILED.")] = None,
    integration: Annotated[
        str | None,
        typer.Option(help="Only of this integration: its id or name.", autocompletion=completing.integrations),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """List alerts that are not closed, the latest opened first.

    Example: tollbridge alerts list --severity ERROR
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    chosen = id_of(client, "integrationconfigs", "integration", integration, "--integration") if integration else None
    given = {"state": _upper(state), "severity": _upper(severity), "type": _upper(type_)}
    pages = client.pages("alerts", integrationConfigId=chosen, **given)
    found = list(islice((each for each in pages if closed or state or each["state"] != "CLOSED"), limit))
    if not as_json:
        for each in found:
            each["opened"] = show_moment(each.get("dtOpened"))
    put_rows(found, COLUMNS, as_json=as_json, empty="There are no such alerts.")


@app.command()
def show(alert: TheAlert, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Show an alert: what is behind it, what was done about it, and who was told.

    Example: tollbridge alerts show 0199…
    """
    from tollbridge.cli.client import Client

    _put(Client(read_profile(profile)).get("alerts", alert), as_json=as_json)


@app.command()
def take(
    alert: TheAlert,
    assignee: Annotated[
        str | None, typer.Option(help="Who is at it, in your words. Default: the service user of the profile.")
    ] = None,
    note: ANote = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say that somebody is at it.

    Example: tollbridge alerts take 0199… --assignee Kim
    """
    _change(profile, alert, as_json=as_json, state="IN_PROGRESS", assignee=assignee, note=note)


@app.command()
def close(alert: TheAlert, note: ANote = None, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Close an alert. Where its cause shows again it is opened anew.

    Example: tollbridge alerts close 0199… --note "The customer was mapped."
    """
    _change(profile, alert, as_json=as_json, state="CLOSED", note=note)


@app.command()
def note(
    alert: TheAlert,
    text: Annotated[str, typer.Argument(help="What to write down.")],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Write a note down; nothing else changes.

    Example: tollbridge alerts note 0199… "Asked the customer."
    """
    _change(profile, alert, as_json=as_json, note=text)


@app.command("test-mail")
def send_test_mail(
    recipient: Annotated[
        list[str] | None, typer.Argument(help="Whom to send it. Default: all of TOLLBRIDGE_ALERT_MAIL.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a mail from this machine, with the settings of its environment, as alerts are sent.

    Example: tollbridge alerts test-mail ops@example.com
    """
    import asyncio

    settings = read_settings()
    recipients = recipient or list(settings.alert_mail)
    if not settings.smtp_url:
        raise Invalid(
            "mail.server",
            "No mail server is configured.",
            "Set TOLLBRIDGE_SMTP_URL, as smtp://user:password@mail.example.com:587.",
            "TOLLBRIDGE_SMTP_URL",
        )
    if not recipients:
        raise Invalid("mail.recipient", "Nobody is named.", "Give an address, or set TOLLBRIDGE_ALERT_MAIL.")
    asyncio.run(_send_test(settings, recipients))
    answer(f"Sent to {', '.join(recipients)}.", {"sent": recipients}, as_json=as_json)


async def _send_test(settings: Settings, recipients: list[str]) -> None:
    from html import escape

    from tollbridge.domain.letters import is_address
    from tollbridge.outbound.mail import Mail, Mailer
    from tollbridge.services import clock

    mailer = Mailer(settings)
    text = f"Mail from Tollbridge arrives. {settings.public_url}".strip()
    for each in recipients:
        if not is_address(each):
            raise Invalid("mail.recipient", f"{each!r} is no mail address.", "Write it as ops@example.com.")
        id = clock.new_id()
        mail = Mail(id, id, each, "[Tollbridge] a test", text, f"<p>{escape(text)}</p>", clock.now())
        failed = await mailer.send(mail)
        if failed is not None:
            raise Failure(
                "mail.not_sent",
                f"{each}: {failed.reason}.",
                "Correct TOLLBRIDGE_SMTP_URL or TOLLBRIDGE_MAIL_FROM, or mend that server.",
            )


def _upper(text: str | None) -> str | None:
    return text.upper().replace("-", "_") if text else None


def _change(profile: str, alert: str, *, as_json: bool, **given: str | None) -> None:
    from tollbridge.cli.client import Client

    body = {name: value for name, value in given.items() if value is not None}
    _put(Client(read_profile(profile)).call("PUT", "alerts", alert, body=body), as_json=as_json)


def _put(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        put_json(found)
        return
    put(f"{found['severity']} {found['type']}  {found['state']}  {found['count']} times")
    put(found["description"])
    if found["state"] != "CLOSED":
        put(found["remedy"])
    for name, key in _FACTS.items():
        value = show_moment(found.get(key)) if key.startswith("dt") else found.get(key)
        if value:
            put(f"{name:<14}{value}")
    for each in found["notes"]:
        put(f"{show_moment(each['dtCreated'])}  {each['createdBy']}: {each['text']}")
    for each in found["told"]:
        error = f" ({each['error']})" if each.get("error") else ""
        put(f"{show_moment(each['dtCreated'])}  {each['channel']} to {each['recipient']}: {each['state']}{error}")


_FACTS = {
    "Open since": "dtOpened",
    "Last": "dtLastModified",
    "Closed": "dtClosed",
    "Who": "assignee",
    "Integration": "integrationConfigId",
    "Credential": "credentialId",
    "Latest run": "runId",
    "Latest event": "eventId",
}
