"""Record the transcripts anew: `python -m tests.connectors.record` runs each delivery against the vendor's stand-in.

Those of connectors without a stand-in stay as they are. A new transcript begins as a file with the keys `about` and
`delivery`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.connectors.driver import Driver
from tests.connectors.stand_ins import world_of
from tests.connectors.transcripts import Transcript, shown, shown_outcome, transcripts_of
from tollbridge.connectors.base import Connector, all_connectors
from tollbridge.domain import json_text
from tollbridge.domain.flows import Reply, Request
from tollbridge.sandbox import SYSTEMS

_KEPT_HEADERS = ("content-type", "request-id", "idempotent-replayed")


async def _record(connector: Connector, transcript: Transcript) -> None:
    replies: list[dict[str, Any]] = []
    async with world_of(connector) as world:
        await world.prepare(transcript.before)

        async def perform(request: Request, key: str | None) -> Reply:
            reply = await world.perform(request, key)
            headers = {name: reply.headers[name] for name in _KEPT_HEADERS if name in reply.headers}
            replies.append({"status": reply.status, "headers": headers, "body": reply.json})
            return reply

        driver = Driver(connector, perform, transcript.subject)
        outcome = await driver.run(transcript.start(connector))
    steps = [{**shown(step), "reply": reply} for step, reply in zip(driver.steps, replies, strict=True)]
    text = json_text.dump(
        {
            "about": transcript.about,
            **({"before": transcript.before} if transcript.before else {}),
            "delivery": transcript.delivery,
            "steps": steps,
            "outcome": shown_outcome(outcome),
        },
        indent=1,
    )
    transcript.path.write_text(text + "\n", encoding="utf-8")


async def _main() -> None:
    for connector in all_connectors().values():
        if connector.key not in SYSTEMS:
            continue
        for transcript in transcripts_of(connector):
            await _record(connector, transcript)


if __name__ == "__main__":
    asyncio.run(_main())
