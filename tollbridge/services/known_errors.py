"""The catalogue of all errors that runs can end with: the common ones and those of every connector, and its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from tollbridge.connectors.base import all_connectors
from tollbridge.domain.errors import Retry
from tollbridge.domain.known_errors import COMMON, KnownError

_HEAD = """\
# Error codes

Every error that a run can end with: where it comes from, who can mend it, and how. The code of a run is `faultCode` in
the API and stands under its error in the Console. What the other side said, in its own words, is in the run log.

A system may refuse with a code that nobody knows here. Then the message says "unknown" and repeats the system's words,
the code is the system's own behind its name, and the whole reply is in the run log.

What the API or a command refuses to its caller is no error of a run: it is answered at once, with a code, what is wrong
and what to do.

See also [what counts towards disabling an integration]({failures}).
"""
_AGAIN = {
    Retry.NEVER: "no",
    Retry.BACKOFF: "with growing waits, a limited number of times",
    Retry.RETRY_AFTER: "when the other side says so; not counted as an attempt",
    Retry.REPAIRED: "when the cause is repaired; held until then",
}


@cache
def known_errors() -> Mapping[str, KnownError]:
    """Every known error by its code; the common ones first, then by connector."""
    return {entry.code: entry for _, entries in _chapters() for entry in entries}


def explain(code: str) -> KnownError | None:
    """The entry of a code; that of a system's unknown errors where the system alone is known; None for any other."""
    return known_errors().get(code) or known_errors().get(f"{code.partition('.')[0]}.unknown")


def page(failures: str) -> str:
    """The whole catalogue as Markdown; `failures` is the address of the page about failures."""
    chapters = [f"\n## {title}\n" + "".join(map(_entry, entries)) for title, entries in _chapters()]
    return _HEAD.replace("{failures}", failures) + "".join(chapters)


def _chapters() -> Iterator[tuple[str, tuple[KnownError, ...]]]:
    yield "Common", COMMON
    for connector in all_connectors().values():
        yield connector.title, connector.errors


def _entry(entry: KnownError) -> str:
    rule = entry.fault("").rule
    told = f"`{rule.event}`" if rule.event else "none"
    return (
        f"\n### {entry.code}\n\n{entry.cause}\n\n"
        f"- Who can mend it: {entry.mender}\n- Remedy: {entry.remedy}\n"
        f"- Run: `{rule.run_status}`; tried again: {_AGAIN[rule.retry]}; event: {told}\n"
    )
