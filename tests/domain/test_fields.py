from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tollbridge.domain import json_text
from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import (
    Rule,
    Shape,
    anything,
    day,
    did_you_mean,
    identifier,
    instant,
    integer,
    list_of,
    map_of,
    number,
    object_of,
    one_of,
    required,
    text,
    text_or_number,
    trimmed,
)

LINE = Shape({"id": required(identifier()), "subtotal": number(), "type": one_of(["USAGE", "AD_HOC"])})
BILL = Shape({"lines": list_of(object_of(LINE), most=2), "date": day(), "note": text(most=10)})


def test_named_fields_are_kept_unchanged_and_others_left_out() -> None:
    body = json_text.parse('{"lines":[{"id":"a","subtotal":1.10,"odd":1}],"date":"2026-01-31","note":null,"other":{}}')
    assert BILL.check(body) == {"lines": [{"id": "a", "subtotal": Decimal("1.10")}], "date": "2026-01-31"}


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ([], None, "The body is a list of 0 items, but must be an object."),
        ({"lines": [{}]}, "lines[0].id", "lines[0].id is missing."),
        ({"lines": [{"id": "a/b"}]}, "lines[0].id", 'lines[0].id is "a/b"'),
        (
            {"lines": [{"id": "a"}, {"id": "b", "subtotal": "1"}]},
            "lines[1].subtotal",
            'subtotal is "1", but must be a num',
        ),
        ({"lines": [{"id": "a", "type": "USGE"}]}, "lines[0].type", "one of USAGE, AD_HOC"),
        ({"lines": [{"id": str(n)} for n in range(3)]}, "lines", "3 items"),
        ({"note": "x" * 11}, "note", "at most 10 characters"),
        ({"note": "a\x00b"}, "note", "U+0000 at position 2"),
        ({"note": "\ud800"}, "note", "U+D800"),
        ({"date": "31.01.2026"}, "date", "YYYY-MM-DD"),
        ({"date": "2026-W01-1"}, "date", "YYYY-MM-DD"),
        ({"date": "2026-02-30"}, "date", "YYYY-MM-DD"),
    ],
)
def test_a_refusal_names_path_value_and_what_is_expected(body: Any, field: str | None, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        BILL.check(body)
    assert refused.value.field == field
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (number(), True),
        (number(), Decimal("NaN")),
        (number(), Decimal("1E+400")),
        (number(), Decimal("1E-400")),
        (number(), 10**39),
        (number(least=Decimal(0)), Decimal("-0.1")),
        (number(above=Decimal(0)), 0),
        (integer(), Decimal("1.5")),
        (integer(), True),
        (integer(least=1, most=5), 6),
        (trimmed(), " a"),
        (trimmed(), "a\n"),
        (trimmed(), "a\tb"),
        (identifier(), ".."),
        (instant(), "2026-01-31T12:00:00"),
        (map_of(text_or_number()), {"a": [1]}),
        (map_of(text_or_number()), {"\x00": 1}),
        (anything(), {"a": [{"b": "\x07"}]}),
        (anything(), [Decimal("1E+99999")]),
    ],
)
def test_a_value_out_of_the_rule_is_refused(rule: Rule, value: Any) -> None:
    with pytest.raises(Invalid):
        rule.check(value, "field")


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (number(), Decimal("0.00000000001")),
        (number(), -12),
        (trimmed(least=1), "Zoë & Sons"),
        (day(), "2026-01-31T00:00:00Z"),
        (instant(), "2019-12-27T18:11:19.117000+00:00"),
        (text(), "two\nlines"),
        (text_or_number(), Decimal("1.50")),
        (anything(), {"a": [1, None, True, "b"]}),
    ],
)
def test_a_value_within_the_rule_is_kept_as_it_is(rule: Rule, value: Any) -> None:
    assert rule.check(value, "field") == value


def test_a_shape_describes_itself_as_json_schema() -> None:
    assert LINE.schema["required"] == ["id"]
    assert LINE.schema["properties"]["type"] == {"type": "string", "enum": ["USAGE", "AD_HOC"]}


def test_a_near_name_is_suggested_without_case() -> None:
    assert did_you_mean("accountids", ["accountIds", "sendFrom"]) == "Did you mean accountIds?"
    assert did_you_mean("zzz", ["accountIds"]) is None
