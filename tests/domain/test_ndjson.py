from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tollbridge.domain.ndjson import Splitter


def split(*chunks: bytes, limit: int = 1000) -> list[tuple[int, bytes | None]]:
    splitter = Splitter(limit)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + list(splitter.finish())


def test_lines_come_with_their_numbers() -> None:
    assert split(b"a\nb\n") == [(1, b"a"), (2, b"b")]


def test_the_last_line_needs_no_line_end() -> None:
    assert split(b"a\nb") == [(1, b"a"), (2, b"b")]


def test_empty_lines_are_counted_and_left_out() -> None:
    assert split(b"a\n\n \r\nb\r\n") == [(1, b"a"), (4, b"b")]


def test_a_byte_order_mark_is_dropped() -> None:
    assert split(b"\xef\xbb\xbfa\n") == [(1, b"a")]


def test_a_line_that_is_too_long_comes_as_none_and_the_next_is_whole() -> None:
    assert split(b"12345", b"67\nab\n", b"cd", limit=4) == [(1, None), (2, b"ab"), (3, b"cd")]


def test_a_line_of_just_the_limit_is_taken() -> None:
    assert split(b"1234\n", limit=4) == [(1, b"1234")]


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda b: b.strip() == b and b"\n" not in b)), st.data())
def test_how_the_bytes_are_cut_into_chunks_does_not_matter(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert split(*chunks) == split(whole)
