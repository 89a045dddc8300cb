"""Every page of the Console, one of each kind, as the demo has them."""

from __future__ import annotations

import json
from typing import Any

from tests.browser.conftest import Demo

LISTS = (
    "/",
    "/integrations",
    "/integrations?category=Marketplace",
    "/integrations/stripe_test",
    "/integrations/stripe_test/new",
    "/docs/stripe_test",
    "/credentials",
    "/credentials/new",
    "/credentials/new?system=STRIPE_TEST",
    "/runs",
    "/runs?status=ERROR",
    "/runs?status=DISABLED",
    "/rules",
    "/rules/new",
    "/rules/new?eventName=billing.bill.created",
    "/webhooks",
    "/webhooks/new",
    "/accounts",
    "/bills",
    "/bills/import",
    "/bills/approve",
    "/mappings",
    "/mappings/new",
    "/mappings/import",
    "/choices?system=STRIPE_TEST&kind=Customer",
    "/events",
    "/alerts",
    "/users",
    "/users/invite",
    "/keys",
    "/keys/new",
    "/account",
    "/audit",
    "/support",
    "/find",
    "/find?q=run",
    "/shortcuts",
    "/docs",
    "/docs/errors",
    "/_gallery",
)


def pages_of(demo: Demo) -> list[str]:
    """Every page that the demo has, one of each kind."""

    def first(*command: str) -> Any:
        return json.loads(demo.cli(*command, "--json").splitlines()[0])

    run, integration = first("runs", "list", "--failed"), first("integrations", "list")
    bill, account, alert = run["entityId"], run["accountId"], first("alerts", "list")
    event = first("events", "groups")["latestEventId"]
    mending = first("events", "mend", event, "--yes", "--detach")
    credential, rule, hook = first("credentials", "list"), first("rules", "list"), first("webhooks", "list")
    return [
        *LISTS,
        f"/runs/{run['id']}",
        f"/configurations/{integration['id']}",
        f"/configurations/{integration['id']}/edit",
        f"/configurations/{integration['id']}/delete",
        f"/bills/{bill}",
        f"/accounts/{account}",
        f"/alerts/{alert['id']}",
        f"/events/{event}",
        f"/events/{event}/mend",
        f"/mendings/{mending['id']}",
        f"/credentials/{credential['id']}",
        f"/rules/{rule['id']}",
        f"/rules/{rule['id']}/edit",
        f"/webhooks/{hook['id']}",
        f"/webhooks/{hook['id']}/edit",
    ]
