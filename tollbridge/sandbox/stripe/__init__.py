"""The stand-in for Stripe: its invoicing API as of version 2026-08-26.dahlia, in memory.

It is written from Stripe's contract and knows nothing of the connector. Not stood in for: balance, prices, webhook
endpoints, credit note previews.
"""

from __future__ import annotations

from collections.abc import Callable

from tollbridge.sandbox import server
from tollbridge.sandbox.server import Running
from tollbridge.sandbox.stripe.api import Stripe

KEY = "sk_test_tollbridgeSandbox"
ACCOUNT = "acct_1TollbridgeSandbox"
SEARCH_LAG = 3.0


async def start(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    key: str = KEY,
    account: str = ACCOUNT,
    requests_per_second: float | None = None,
    search_lag: float = SEARCH_LAG,
) -> Running:
    """Start it in the running event loop; `key` opens `account`, more keys come over the administration.

    `requests_per_second`: None for Stripe's own limits, 0 for none. `search_lag` in seconds.
    """
    stripe = Stripe(search_lag=search_lag, requests_per_second=requests_per_second)
    stripe.add_key({"key": key, "account": account})
    return await server.listen(stripe, host, port, key=key, account=account)


def serve(host: str, port: int, announce: Callable[[Running], None]) -> None:
    """Run it until interrupted; `announce` is called once it listens."""
    server.serve(start(host, port), announce)
