"""`make screenshots`: a picture of every page of the Console, light, dark and narrow, to be looked at."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from tests.browser.conftest import CHROMIUM, cookies_of_an_administrator, running_chromium, running_demo
from tests.browser.pages import pages_of

VIEWS: tuple[tuple[Any, int], ...] = (("light", 1280), ("dark", 1280), ("light", 390))
_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def main(folder: Path) -> None:
    if CHROMIUM is None:
        sys.exit("No Chromium was found: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with running_demo() as demo, running_chromium() as chromium:
        cookies, pages = cookies_of_an_administrator(demo, chromium), pages_of(demo)
        for theme, width in VIEWS:
            context = chromium.new_context(
                storage_state=cookies, color_scheme=theme, viewport={"width": width, "height": 900}
            )
            page = context.new_page()
            for path in pages:
                page.goto(demo.console + path)
                page.screenshot(path=folder / f"{_name(path)}-{theme}-{width}.png", full_page=True)
            context.close()
    sys.stdout.write(f"{folder}\n")


def _name(path: str) -> str:
    """A file name that is the same each time: without ids."""
    return re.sub(r"[^a-z0-9]+", "-", _IDS.sub("one", path).lower()).strip("-") or "overview"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
