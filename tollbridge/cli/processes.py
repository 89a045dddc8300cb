"""`tollbridge serve`, `worker` and `sandbox`: the processes that keep running. Each says on stdout when it is ready."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import typer

from tollbridge.cli.common import read_settings
from tollbridge.cli.output import put
from tollbridge.domain.errors import Refusal
from tollbridge.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: TOLLBRIDGE_HOST.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one. Default: TOLLBRIDGE_PORT."),
    ] = None,
) -> None:
    """Serve the API and the Console until SIGTERM or Ctrl-C; requests under way are finished, a second ends it at once.

    Example: tollbridge serve --port 8400
    """
    from tollbridge import wiring

    settings = read_settings()
    settings = replace(
        settings,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
    )
    wiring.set_up_logs(settings.log_level)
    with _bound(settings) as listener:
        # Links for people name the port that was taken.
        _run_server(replace(settings, port=listener.getsockname()[1]), listener)


def worker() -> None:
    """Deliver bills until SIGTERM or Ctrl-C; runs under way are finished first. Start as many as you like.

    Example: tollbridge worker
    """
    from tollbridge import wiring

    settings = read_settings()
    wiring.set_up_logs(settings.log_level)
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(wiring.run_worker(settings))


def sandbox(
    system: Annotated[str, typer.Option(help="The vendor to stand in for.")] = "stripe",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
) -> None:
    """Stand in for a vendor, for trials and tests: nothing leaves this machine, and nothing is kept.

    Example: tollbridge sandbox --system stripe --port 4010
    """
    from importlib import import_module

    from tollbridge.sandbox import SYSTEMS

    if system not in SYSTEMS:
        raise typer.BadParameter(f"{system!r} is none of {', '.join(sorted(SYSTEMS))}", param_hint="--system")

    def announce(running: Any) -> None:
        put(f"{running.url}\tkey {running.key}")

    try:
        import_module(SYSTEMS[system]).serve(host, port, announce)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, with which a worker carries a third more; Windows does without."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise _cannot_listen(settings.host, settings.port, error) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> Refusal:
    return Refusal(
        "server.address",
        f"Cannot listen on {host}, port {port}: {error.strerror or error}",
        "Choose another with --host and --port, or end the program that listens there.",
        "port",
    )


def _run_server(settings: Settings, listener: socket.socket) -> None:
    import uvicorn

    from tollbridge import wiring

    app = wiring.build_app(settings)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        timeout_graceful_shutdown=int(settings.drain.total_seconds()),
    )

    async def main() -> None:
        # Entered here and not by uvicorn, which would turn a refusal into a log line.
        async with app.router.lifespan_context(app):
            # Uvicorn raises a signal again once it has shut down; what is open here must still be closed then.
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, lambda *_: None)
            listener.listen(config.backlog)
            put(f"http://{_shown(listener)}")
            await uvicorn.Server(config).serve(sockets=[listener])

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
