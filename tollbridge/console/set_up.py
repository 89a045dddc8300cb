"""The first set-up as steps, each of which says where it is done, so that it goes on from any page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tollbridge.services.overview import SetUp


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its words, where it is done, and whether it is."""

    words: str
    path: str
    done: bool

    def is_at(self, here: str) -> bool:
        """Whether the page is where it is done."""
        return here.partition("?")[0] == self.path.partition("#")[0].partition("?")[0]


def steps_of(found: SetUp) -> Sequence[Step]:
    """All steps in their order. Who has sent needs neither mappings nor a preview any more."""
    configure, integration = "/integrations", f"/configurations/{found.integration_id}"
    if found.system:
        configure = f"/integrations/{found.system.lower()}/new?credential={found.credential_id}"
    known = found.integration_id is not None
    send = "/bills/approve" if found.approvable else f"{integration}#try" if known else "/integrations"
    return (
        Step("Add a credential of the system that bills go to", "/credentials/new", found.credential_id is not None),
        Step("Configure an integration", configure, known),
        Step("Import bills", "/bills/import", found.bills),
        Step("Say which account is which customer there", "/mappings/new", found.mappings or found.sent),
        Step("Preview a bill", f"{integration}#try" if known else "/integrations", found.previewed or found.sent),
        Step("Approve the first bills" if found.approvable else "Send the first bills", send, found.sent),
        Step("Look at what was sent, and continue", f"{integration}#continue", found.delivered and not found.waiting)
        if found.waiting
        else Step("Watch the first bill arrive", "/runs", found.delivered),
    )


def next_of(steps: Sequence[Step]) -> Step | None:
    """The first step that is not done."""
    return next((step for step in steps if not step.done), None)
