"""Lines of newline-delimited JSON out of chunks of bytes, without ever holding more than one line that is too long."""

from __future__ import annotations

from collections.abc import Iterator

_BOM = b"\xef\xbb\xbf"


class Splitter:
    """Feed it chunks; it gives back whole lines with their numbers, the first being 1.

    A line of more than `limit` bytes comes as None; of empty lines only the number is counted.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._number = 0

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes | None]]:
        """The lines that end in this chunk."""
        *ended, rest = chunk.split(b"\n")
        for end in ended:
            self._keep(end)
            yield from self._line()
        self._keep(rest)

    def finish(self) -> Iterator[tuple[int, bytes | None]]:
        """The last line, where it does not end in a line end."""
        if self._size:
            yield from self._line()

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _line(self) -> Iterator[tuple[int, bytes | None]]:
        self._number += 1
        line = b"".join(self._parts) if self._size <= self._limit else None
        self._parts.clear()
        self._size = 0
        if line is not None:
            line = (line.removeprefix(_BOM) if self._number == 1 else line).strip()
        if line is None or line:
            yield self._number, line
