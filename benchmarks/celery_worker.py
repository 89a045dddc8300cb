"""What `celery -A` imports in the processes of its worker."""

from __future__ import annotations

from benchmarks.celery_build import make_app

app = make_app()
