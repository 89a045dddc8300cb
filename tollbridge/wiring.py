"""The composition root: the only place that connects parts. Makes no decisions and keeps no state."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from tollbridge.outbound.guard import Guard
from tollbridge.services.access import Gate
from tollbridge.services.parts import Parts
from tollbridge.services.sessions import Sessions
from tollbridge.services.sso import SingleSignOn
from tollbridge.services.submissions import Submissions
from tollbridge.services.tallies import Counter
from tollbridge.settings import Settings
from tollbridge.store.db import Database, open_database
from tollbridge.store.migrate import Standing, require_usable
from tollbridge.vault import open_vault

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tollbridge.outbound.http import Http

_log = structlog.get_logger(__name__)

LEFT_WORK = 1
"""Exit status of a worker that left runs to others."""
COLLECTED_AT = 10_000
"""New objects after which a worker looks for garbage."""


def set_up_logs(level: str) -> None:
    """Every log line of this process, those of libraries too, becomes one JSON object on stderr.

    `structlog.contextvars.bind_contextvars(run_id=…)` puts the run's id on every line that follows in its task.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper("iso", key="at"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def connect(settings: Settings, db: Database) -> Parts:
    """The parts over an open database."""
    vault = open_vault(settings)
    older = vault.derive_older("access tokens")
    gate = Gate(db, vault.derive("access tokens"), settings.token_lifetime, older_keys=older)
    sessions = Sessions(db, vault.derive("forms of the Console"), settings)
    sso = _single_sign_on(settings, db, sessions)
    return Parts(
        settings, db, vault, gate, Guard(settings).resolve_allowed, Submissions(db), sessions, sso, Counter(db)
    )


def _single_sign_on(settings: Settings, db: Database, sessions: Sessions) -> SingleSignOn | None:
    if not settings.sso_issuer:
        return None
    from tollbridge.outbound.openid import OpenIdProvider

    provider = OpenIdProvider(settings)
    return SingleSignOn(db, settings, sessions, provider)


def build_app(settings: Settings) -> FastAPI:
    """The API and the Console. It opens the database when it starts, and refuses to start on a schema that it cannot
    work on. Raises Invalid where a setting names an unknown system."""
    from tollbridge.api.app import create_app
    from tollbridge.console.app import PATH, create_console, to_console
    from tollbridge.outbound.http import Http
    from tollbridge.services.systems import check_settings

    check_settings(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_database(settings) as db, Http(settings) as http:
            await _check_schema(db)
            app.state.parts = console.state.parts = connect(settings, db)
            async with _looking_out(settings, db, http):
                yield

    console = create_console()
    app = create_app(lifespan)
    for path in ("/", PATH):
        app.add_api_route(path, to_console, include_in_schema=False)
    app.mount(PATH, console)
    return app


async def run_worker(settings: Settings) -> None:
    """A worker, until SIGTERM or SIGINT: then it finishes its runs; a second signal ends the process at once."""
    from tollbridge.engine.worker import Worker
    from tollbridge.outbound.http import Http
    from tollbridge.services.systems import check_settings

    check_settings(settings)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(LEFT_WORK)
        stop.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, on_signal)
    async with open_database(settings) as db, Http(settings) as http:
        await _check_schema(db)
        _spare_the_collector()
        async with _looking_out(settings, db, http):
            drained = await Worker(settings, db, open_vault(settings), http).run(stop)
        if not drained:
            # To cancel what is under way would delete its jobs; to vanish leaves them to another worker.
            os._exit(LEFT_WORK)


async def _check_schema(db: Database) -> None:
    """Raises Refusal where this release cannot work on the schema; a later one's is normal during an upgrade."""
    state = await require_usable(db.dsn)
    if state.standing is Standing.AHEAD:
        _log.warning("the schema is of a later release: upgrade this process", found=state.found, known=state.needed)


@asynccontextmanager
async def _looking_out(settings: Settings, db: Database, http: Http) -> AsyncIterator[None]:
    """A lookout beside what this process does."""
    from tollbridge.engine.lookout import Lookout

    task = asyncio.create_task(Lookout(settings, db, http).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _spare_the_collector() -> None:
    """What is loaded by now stays for ever, and a run leaves few cycles: a quarter of a worker's time went into looking
    for garbage among modules."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AT)
