"""A preview on the wire; it is asked for at an integration, and read later at its run."""

from __future__ import annotations

from tollbridge.api.wire import Json
from tollbridge.services.previews import Preview


def preview_of(preview: Preview) -> Json:
    """The preview, or 202 with its state while it is under way."""
    run = preview.run
    head = {"runId": run.id, "billId": run.entity_id, "system": run.system}
    if preview.found is None:
        return Json({**head, "state": run.state}, status_code=202)
    return Json({**head, **preview.found})
