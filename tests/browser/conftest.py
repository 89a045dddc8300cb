"""A real browser on the demo: server, worker, database and stand-in as processes, as a new user has them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

# On a machine that is busy a page takes longer than Playwright's five seconds.
expect.set_options(timeout=30_000)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START = 600
"""Seconds that the demo has until all its bills are through."""
OTHER_NAME = "console.test"
"""A name that the browser takes for this machine, and that is no secure context."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {OTHER_NAME} 127.0.0.1",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser these tests are left out."""
    for item in items:
        if CHROMIUM is None and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="no Chromium was found: apt-get install chromium"))


@dataclass
class Demo:
    """The running demo."""

    url: str
    environ: dict[str, str]
    link: str
    """By which an administrator signs in, once."""

    @property
    def console(self) -> str:
        return f"{self.url}/console"

    def cli(self, *arguments: str) -> str:
        """What a command says, with the demo as its profile."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("tollbridge")), *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout


@contextmanager
def running_demo() -> Iterator[Demo]:
    """The demo, once all its bills are through."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "demo.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("tollbridge")), "demo"], stdout=subprocess.DEVNULL, stderr=out
            )
        try:
            until = time.monotonic() + START
            while "Ctrl-C ends it" not in (text := log.read_text()):
                assert process.poll() is None, text
                assert time.monotonic() < until, text
                time.sleep(0.2)
            found = dict(re.findall(r"(TOLLBRIDGE_\w+)=(\S+)", text))
            link = re.search(r"Console\s+(\S+)", text)
            assert link
            yield Demo(found["TOLLBRIDGE_URL"], os.environ | found, link[1])
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def cookies_of_an_administrator(demo: Demo, chromium: Browser) -> Any:
    """Those of somebody who came in by the link that the demo prints."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(demo.link)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", level=1, name="Overview").wait_for()
    state = context.storage_state()
    context.close()
    return state


# Not of the session: while the browser is open its loop runs in this thread, where other tests need theirs.
@pytest.fixture(scope="package")
def demo() -> Iterator[Demo]:
    with running_demo() as started:
        yield started


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def signed_in(demo: Demo, chromium: Browser) -> Any:
    return cookies_of_an_administrator(demo, chromium)


@dataclass
class Tab:
    """A page that notes what a page of ours must never do."""

    page: Page
    demo: Demo
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        host = urlsplit(self.demo.url).netloc.partition(":")[2]
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "request",
            lambda request: (
                None if urlsplit(request.url).netloc.endswith(f":{host}") else self.wrong.append(request.url)
            ),
        )

    def open(self, path: str) -> Page:
        self.page.goto(self.demo.console + path)
        return self.page


_NOTE_CLICKS = """
addEventListener("click", (event) => {
  // A label passes its click on to its field, which would count twice.
  if (event.target.closest("label") && !event.target.closest("input, select, textarea, button, a")) return;
  tollbridgeClicked((event.target.closest("a, button, summary, input") ?? event.target).textContent.trim());
}, true);
"""


class Clicks:
    """What a person pressed in a tab from here on, on whatever page: links, buttons, boxes and forms that were sent, by
    mouse or keys, and what a script pressed for them. To type and to walk from field to field are no clicks."""

    def __init__(self, page: Page) -> None:
        self.pressed: list[str] = []
        page.expose_function("tollbridgeClicked", lambda words: self.pressed.append(words))
        page.add_init_script(_NOTE_CLICKS)
        self._page = page

    def __len__(self) -> int:
        return len(self.pressed)

    def follow(self, link: str) -> None:
        """Open a link from elsewhere: of a mail, or of a terminal."""
        self.pressed.append(link)
        self._page.goto(link)


class Keys:
    """Somebody who has a keyboard only."""

    FARTHEST = 150
    """Tabs until something on a page is reached, at most."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def reach(self, target: Locator) -> None:
        """Walk to it, as far as it takes."""
        target.wait_for()
        for _ in range(self.FARTHEST):
            if target.evaluate("each => each === document.activeElement"):
                return
            self._page.keyboard.press("Tab")
        raise AssertionError(f"{target} cannot be reached by keys")

    def press(self, role: Any, name: str | re.Pattern[str], within: str = "main") -> None:
        """Press a link or a button."""
        place = (
            self._page.get_by_role("main") if within == "main" else self._page.get_by_role("navigation", name=within)
        )
        self.reach(place.get_by_role(role, name=name, exact=isinstance(name, str)))
        self._page.keyboard.press("Enter")

    def fill(self, label: str | re.Pattern[str], text: str) -> None:
        """Type into a field, or the beginning of what is chosen in a list."""
        field = self._page.get_by_role("main").get_by_label(label)
        self.reach(field)
        if field.evaluate("each => each.tagName") == "SELECT":
            self._page.keyboard.type(text)
        else:
            self._page.keyboard.press("Control+A")
            self._page.keyboard.insert_text(text)


OpenTab = Callable[..., Tab]


@pytest.fixture
def open_tab(demo: Demo, chromium: Browser, signed_in: Any) -> Iterator[OpenTab]:
    """Open a tab, signed in; options are those of a browser context."""
    contexts: list[BrowserContext] = []

    def work(**options: Any) -> Tab:
        context = chromium.new_context(storage_state=signed_in, **options)
        context.set_default_timeout(30_000)
        contexts.append(context)
        return Tab(context.new_page(), demo)

    yield work
    for context in contexts:
        context.close()


@pytest.fixture
def tab(open_tab: OpenTab) -> Tab:
    return open_tab()
