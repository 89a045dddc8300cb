"""`console`: how long each page of the Console takes in a store that has delivered much already."""

from __future__ import annotations

import time
from statistics import quantiles
from typing import Any

import aiohttp

from benchmarks import growth
from benchmarks.processes import running
from benchmarks.runs import NO_LIMIT, deliver
from benchmarks.stage import Stage, stage
from tollbridge.domain.people import Purpose
from tollbridge.services import users

ROUNDS = 40
"""How often each page is asked for; twice more before that, unmeasured."""
SENT = 10_000
"""Bills that are being sent meanwhile."""
PAGES = (
    "/",
    "/integrations",
    "/integrations/stripe",
    "/runs",
    "/runs?status=ERROR",
    "/runs/{run}",
    "/configurations/{integration}",
    "/credentials",
    "/accounts",
    "/accounts?q=warm-1",
    "/accounts/{account}",
    "/bills",
    "/bills?delivery=not-delivered&month=2026-11",
    "/bills/{bill}",
    "/mappings",
    "/events",
    "/alerts",
    "/rules",
    "/webhooks",
    "/audit",
)


async def run(size: int = 1_000_000, bills: int = 100_000) -> dict[str, Any]:
    """`size` finished runs in the store, and up to `bills` bills; each page alone, then while bills are being sent."""
    async with stage() as it:
        with it.sink() as sink:
            await it.connect(sink, "STRIPE")
            await deliver(it, sink, "warm", 100)
            await growth.fill(it, 1, min(size, bills))
            await growth.fill_runs(it, min(size, bills) + 1, size, bills)
            serve = ("tollbridge.cli.main", "serve", "--port", "0")
            with running(it.folder / "serve.log", *serve, environ=it.environ) as server:
                async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
                    url = f"{server.first_line()}/console"
                    await _sign_in(it, session, url)
                    paths = await _paths(it)
                    quiet = await _ask(session, url, paths)
                    await it.add_bills("busy", SENT)
                    with it.worker(sink, TOLLBRIDGE_RATE_LIMITS=f"STRIPE={NO_LIMIT}"):
                        busy = await _ask(session, url, paths)
                        left = await _left(it)
    return {
        "runs": size,
        "bills": min(size, bills),
        "p95_ms": round(max(each[1] for each in quiet.values()), 1),
        "p95_ms_while_sending": round(max(each[1] for each in busy.values()), 1),
        "bills_left_to_send_then": left,
        "pages": {path: {"p50_p95_ms": quiet[path], "while_sending": busy[path]} for path in quiet},
    }


async def _sign_in(it: Stage, session: aiohttp.ClientSession, url: str) -> None:
    person = {"email": "bench@example.com", "firstName": "Bench", "lastName": "Mark", "role": "administrator"}
    user = await users.create(it.parts.db, it.caller, person)
    made = await users.make_link(it.parts.db, it.parts.settings, it.caller, user.id, Purpose.SIGN_IN)
    link = f"{url}/links/{made.url.rpartition('/')[2]}"
    async with session.get(link) as answer:
        token = (await answer.text()).partition('name="csrf" value="')[2].partition('"')[0]
    async with session.post(link, data={"csrf": token}) as answer:
        answer.raise_for_status()


async def _paths(it: Stage) -> dict[str, str]:
    """The pages by how they are named in the figures."""
    row = await it.parts.db.pool.fetchrow(
        "SELECT id AS run, integration_id AS integration, account_id AS account, entity_id AS bill FROM runs"
        " WHERE entity_id = 'bill-warm-0'"
    )
    return {page: page.format(**dict(row)) for page in PAGES}


async def _left(it: Stage) -> int:
    """Bills that are not sent yet: with none left, some pages had a quiet machine."""
    count: int = await it.parts.db.pool.fetchval(
        "SELECT count(*) FROM runs WHERE account_id LIKE 'busy-%' AND state <> 'delivered'"
    )
    return count


async def _ask(session: aiohttp.ClientSession, url: str, paths: dict[str, str]) -> dict[str, list[float]]:
    """p50 and p95 of each page, in milliseconds."""
    found = {}
    for page, path in paths.items():
        taken = []
        for _ in range(ROUNDS + 2):
            began = time.perf_counter()
            async with session.get(url + path) as answer:
                await answer.read()
                if answer.status != 200 or "/sign-in" in str(answer.url):
                    raise RuntimeError(f"{path} answered {answer.status} at {answer.url}")
            taken.append((time.perf_counter() - began) * 1000)
        parts = quantiles(taken[2:], n=20)
        found[page] = [round(parts[9], 1), round(parts[18], 1)]
    return found
