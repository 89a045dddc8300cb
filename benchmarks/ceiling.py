"""The ceiling for webhooks: a loop written by hand for nothing but this job, on the same database and receiver.

It claims batches of 200 with SKIP LOCKED, posts 64 at once with the same signature, and records every attempt with
`unnest`, one commit for what arrived meanwhile. Run as a process of its own: reads one JSON line, answers one.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from datetime import UTC, datetime

import aiohttp
import asyncpg
import uvloop

from tollbridge.connectors.webhook.signature import sign

BATCH, AT_ONCE = 200, 64
SECRET = "whsec_" + "QmVuY2htYXJrU2VjcmV0QmVuY2htYXJrU2VjcmV0"

_TABLES = """
    DROP TABLE IF EXISTS ceiling_attempts, ceiling;
    CREATE TABLE ceiling (id bigint PRIMARY KEY, body text NOT NULL, state text NOT NULL, updated_at timestamptz);
    CREATE INDEX ceiling_due ON ceiling (id) WHERE state = 'queued';
    CREATE TABLE ceiling_attempts (delivery_id bigint, attempt int, started_at timestamptz, ended_at timestamptz,
        status int, headers text, answer text, PRIMARY KEY (delivery_id, attempt));
"""


class Loop:
    def __init__(self, pool: asyncpg.Pool, session: aiohttp.ClientSession, url: str, count: int) -> None:
        self._pool, self._session, self._url, self._left = pool, session, url, count
        self._ready: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._done: list[tuple[int, datetime, datetime, int, str, str]] = []
        self._ended = asyncio.Event()

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._post()) for _ in range(AT_ONCE)]
        tasks += [asyncio.create_task(self._claim()), asyncio.create_task(self._record())]
        await self._ended.wait()
        for task in tasks:
            task.cancel()

    async def _claim(self) -> None:
        while True:
            while self._ready.qsize() > BATCH:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            rows = await self._pool.fetch(
                "UPDATE ceiling SET state = 'sent', updated_at = now() WHERE id IN (SELECT id FROM ceiling"
                " WHERE state = 'queued' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id, body",
                BATCH,
            )
            if not rows:
                return
            for row in rows:
                self._ready.put_nowait((row["id"], row["body"]))

    async def _post(self) -> None:
        while True:
            id, text = await self._ready.get()
            body = text.encode()
            started = datetime.now(UTC)
            timestamp = int(started.timestamp())
            headers = {
                "Content-Type": "application/json",
                "webhook-api-key": "key",
                "webhook-id": str(id),
                "webhook-timestamp": str(timestamp),
                "webhook-signature": sign(SECRET, str(id), timestamp, body),
            }
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                said = await answer.read()
            shown = json.dumps(dict(answer.headers))
            self._done.append((id, started, datetime.now(UTC), answer.status, shown, said.decode()))

    async def _record(self) -> None:
        while self._left:
            some, self._done = self._done, []
            if not some:
                await asyncio.sleep(0.001)
                continue
            columns = [list(column) for column in zip(*some, strict=True)]
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO ceiling_attempts SELECT a, 1, b, c, d, e, f FROM unnest($1::bigint[],"
                    " $2::timestamptz[], $3::timestamptz[], $4::int[], $5::text[], $6::text[]) AS n(a, b, c, d, e, f)",
                    *columns,
                )
                await connection.execute(
                    "UPDATE ceiling SET state = CASE WHEN n.b < 300 THEN 'done' ELSE 'failed' END, updated_at = now()"
                    " FROM unnest($1::bigint[], $2::int[]) AS n(a, b) WHERE id = n.a",
                    columns[0],
                    columns[3],
                )
            self._left -= len(some)
        self._ended.set()


async def main() -> None:
    order = json.loads(sys.stdin.readline())
    async with asyncpg.create_pool(order["dsn"], min_size=3, max_size=3) as pool:
        await pool.execute(_TABLES)
        await pool.execute(
            "INSERT INTO ceiling SELECT n, $2, 'queued', now() FROM generate_series(1, $1) AS n",
            order["count"],
            order["body"],
        )
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            cpu, began = _cpu(), time.monotonic()
            await Loop(pool, session, order["url"], order["count"]).run()
            seconds = time.monotonic() - began
        done = await pool.fetchval("SELECT count(*) FROM ceiling WHERE state = 'done'")
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu": _cpu() - cpu, "done": done}) + "\n")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    uvloop.run(main())
