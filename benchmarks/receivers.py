"""Receivers of webhooks: nginx where it is installed, since what answers should cost nothing; else the sink."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import running

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 10000000; client_body_temp_path {folder}/body; client_body_buffer_size 512k;
    client_max_body_size 1m; default_type application/json;
    server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return {status} '{{}}'; }} }}
}}
"""


@contextmanager
def receiver(folder: Path, status: int = 200) -> Iterator[str]:
    """The address of a receiver that answers every request with this status at once."""
    program = shutil.which("nginx")
    if program is None:
        with running(folder / f"sink{status}.log", "benchmarks.sink", "0") as process:
            yield process.first_line()
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = folder / f"nginx-{port}"
    home.mkdir()
    config = home / "nginx.conf"
    config.write_text(_NGINX.format(folder=home, port=port, status=status))
    server = subprocess.Popen([program, "-c", str(config), "-p", str(home)], stderr=sys.stderr)  # noqa: S603
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int) -> None:
    for _ in range(500):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError("the receiver did not start")
