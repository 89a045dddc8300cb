"""The OpenAPI document as it lies in the repository; `make openapi` writes it anew."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from tollbridge.domain import json_text
from tollbridge.settings import Settings
from tollbridge.wiring import build_app

FILE = Path(__file__).parents[2] / "docs/reference/openapi.json"


def text_of(app: FastAPI) -> str:
    return json_text.dump(app.openapi(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text_of(build_app(Settings())))
