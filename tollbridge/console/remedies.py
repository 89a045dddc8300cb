"""The one button that mends a fault: its words, where it leads, and who sees it."""

from __future__ import annotations

from dataclasses import dataclass

from tollbridge.domain.access import Permission


@dataclass(frozen=True, slots=True)
class Remedy:
    """A link in the shape of a button."""

    words: str
    path: str
    permission: Permission = Permission.READ


def remedy_of(
    action: str | None, *, run_id: str | None, integration_id: str | None, credential_id: str | None
) -> Remedy | None:
    """The button for an action of the table of faults; None where what it would lead to is not there."""
    match action:
        case "Re-enable" if integration_id:
            return Remedy("Open the integration to re-enable it", f"/configurations/{integration_id}")
        case "Configure credential" if credential_id:
            return Remedy("Configure the credential", f"/credentials/{credential_id}", Permission.CREDENTIALS)
        case "Configure credential" if integration_id:
            return Remedy("Configure the credential", f"/configurations/{integration_id}")
        case "Create mapping" if run_id:
            return Remedy("Create the external mapping", f"/mappings/new?run={run_id}", Permission.MAP)
        case "Go to run" if run_id:
            return Remedy("Go to run", f"/runs/{run_id}")
    return None
