"""The calculation language: what it comes to, what it refuses, and that nothing makes it crash or hang."""

from __future__ import annotations

import os
import random
import string
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.domain.calculation_reference import FIELDS, TREES, Node, Wrong, evaluated, written
from tollbridge.domain import calculation
from tollbridge.domain.calculation import (
    DEEPEST,
    LONGEST,
    LONGEST_TEXT,
    MOST_ARGUMENTS,
    CalculationError,
    compile_calculation,
)
from tollbridge.domain.errors import Invalid

CASES = int(os.environ.get("TOLLBRIDGE_TEST_CASES", "5000"))
VALUES: Mapping[str, Any] = {
    "new": {
        "amount": Decimal("100"),
        "amountSpent": 90,
        "name": "Acme",
        "endDate": "2026-10-31T00:00:00Z",
        "active": True,
        "tags": ["a"],
        "customFields": {"tier": "gold", "cost centre": 7},
    },
    "old": {"amount": 100, "amountSpent": None},
}
ACCOUNT = {"id": "string", "address.country": "string", "currency": "string", "customFields": "map"}


def value_of(text: str, values: Mapping[str, Any] = VALUES) -> Any:
    return compile_calculation(text).evaluate(values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1 + 0.2 == 0.3", True),
        ("1 / 3 * 3 == 1", False),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 ^ -1", Decimal("0.5")),
        ("0 ^ 0", 1),
        ("10 - 3 - 2", 5),
        ("12 / 2 / 3", 2),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("7 % 3", 1),
        ("-7 % 3", -1),
        ("7 % -3", 1),
        ("- - 3", 3),
        ("+3", 3),
        ("Math.round(2.5)", 3),
        ("Math.round(-2.5)", -3),
        ("Math.round(1.005, 2)", Decimal("1.01")),
        ("Math.round(1250, -2)", 1300),
        ("Math.round(5, -50)", 0),
        ("Math.round(123456789012345678901234567890.55, 1)", Decimal("123456789012345678901234567890.6")),
        ("Math.round(9.99999999999999999999999999999999999, 33)", 10),
        ("Math.floor(-1.5)", -2),
        ("Math.ceil(-1.5)", -1),
        ("Math.max(1, 3, 2)", 3),
        ("Math.min(4, 3)", 3),
        ("Math.pow(2, 10)", 1024),
        ("Math.abs(-3)", 3),
        ("isnull(new.nothing, 5)", 5),
        ("isnull(new.amount, 5)", 100),
        ("IN(new.name, 'Umbrella', 'Acme')", True),
        ("IN(new.name, 'Umbrella', 'Corp')", False),
        ("IN(new.nothing, null, 1)", True),
        ("true ? 1 : 2", 1),
        ("null ? 1 : 2", 2),
        ("false ? 1 : true ? 3 : 4", 3),
        ("true OR false AND false", True),
        ("'it' + \"'s\"", "it's"),
        (r"'\\ \n \t \' \"'", "\\ \n \t ' \""),
        ("'a' < 'b'", True),
        ("new.endDate < '2026-11-01T00:00:00Z'", True),
        ("'1' == 1", False),
        ("true == 1", False),
        ("new.tags == new.tags", True),
        ("null == null", True),
        ("null == 0", False),
        ("null + 1", None),
        ("null < 1", False),
        ("null >= 1", False),
        ("Math.max(null, 1)", None),
        ("-null", None),
        ("null AND true", False),
        ("new.customFields.tier == 'gold'", True),
        ("new.customFields['cost centre'] + 1", 8),
        ("new.name.first", None),
        ("new.nothing.at.all", None),
        ("Math.PI > 3.14159 AND Math.PI < 3.1416", True),
        ("DateTime.TS_FMT", "yyyy-MM-dd'T'HH:mm:ss.SSSX"),
        ("1 < 2\n  AND\t2 < 3", True),
    ],
)
def test_a_calculation_comes_to(text: str, expected: Any) -> None:
    assert value_of(text) == expected
    assert type(value_of(text)) is (
        Decimal if isinstance(expected, int) and not isinstance(expected, bool) else type(expected)
    )


def test_the_commitment_of_the_documents_fires_once_when_nine_tenths_are_spent() -> None:
    text = (
        "(new.amountSpent >= ((new.amount*90)/100))\n AND"
        " ((old.amountSpent <= ((old.amount*90)/100)) OR (old.amountSpent == null))"
    )
    rule = compile_calculation(text)
    assert rule.is_true(VALUES)
    assert not rule.is_true({"new": {"amount": 100, "amountSpent": 95}, "old": {"amount": 100, "amountSpent": 91}})
    assert rule.fields == {"new.amountSpent", "new.amount", "old.amountSpent", "old.amount"}


def test_the_right_side_is_not_looked_at_where_the_left_decides() -> None:
    assert value_of("false AND 1 / 0 > 1") is False
    assert value_of("true OR 1 / 0 > 1") is True
    assert value_of("true ? 1 : 1 / 0") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0 ^ -1", "division by zero"),
        ("'a' + 1", "a text and a number"),
        ("1 - 'a'", "a number and a text"),
        ("1 < 'a'", "cannot be compared"),
        ("true < false", "cannot be compared"),
        ("true AND 1", "a condition is needed"),
        ("1 ? 2 : 3", "a condition is needed"),
        ("-'a'", "a number is needed"),
        ("Math.abs('a')", "a number is needed"),
        ("Math.round(1, 0.5)", "a whole number"),
        ("Math.round(1, 51)", "a whole number from -50 to 50"),
        ("9 ^ 9 ^ 9 ^ 9", "too large"),
        ("10 ^ 1001", "too large"),
        ("(-8) ^ 0.5", "no number"),
        ("new.tags > 1", "a list cannot be compared"),
        ("new.customFields + 1", "a map and a number"),
    ],
)
def test_what_has_no_result_is_an_error_with_its_place(text: str, words: str) -> None:
    with pytest.raises(CalculationError, match=words) as error:
        value_of(text)
    assert 0 <= error.value.at < len(text)


def test_a_condition_that_is_a_number_is_an_error() -> None:
    with pytest.raises(CalculationError, match="a condition is needed"):
        compile_calculation("1 + 1").is_true(VALUES)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("1 +", 1, 4),
        ("", 1, 1),
        ("1 1", 1, 3),
        ("(1", 1, 3),
        ("1)", 1, 2),
        ("'abc", 1, 1),
        ("new.amount >\n  foo(1)", 2, 3),
        ("1 $ 2", 1, 3),
        ("a..b", 1, 3),
        ("1e5", 1, 2),
        ("new.amount = 1", 1, 12),
        ("!true", 1, 1),
        (r"'\q'", 1, 1),
        ("Math.round()", 1, 1),
        ("isnull(1)", 1, 1),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_caret_below_the_place(text: str, line: int, column: int) -> None:
    with pytest.raises(Invalid) as refusal:
        compile_calculation(text)
    place, _, mark = refusal.value.message.split("\n")[1:4]
    assert place == f"line {line}, column {column}:"
    assert mark == " " * (column - 1) + "^"
    assert refusal.value.field == "calculation"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("adress.country == 'US'", "Did you mean address.country?"),
        ("Math.rond(1)", "Did you mean Math.round?"),
        ("US == currency", "Put a text in quotes"),
        ("new.amount", "Put a text in quotes"),
        ("currency == address.town", "address.country"),
    ],
)
def test_an_unknown_name_is_refused_with_what_was_meant(text: str, hint: str) -> None:
    with pytest.raises(Invalid) as refusal:
        compile_calculation(text, ACCOUNT)
    assert hint in (refusal.value.hint or "")


def test_a_single_word_on_the_right_is_a_text_where_the_fields_are_known() -> None:
    account = {"address": {"country": "US"}, "currency": "EUR", "customFields": {"EUR": 1}}

    def says(text: str) -> Any:
        return compile_calculation(text, ACCOUNT).evaluate(account)

    assert says("address.country == US")
    assert says("address.country != UK")
    assert says("IN(currency, USD, EUR)")
    assert not says("currency == id")
    assert says("customFields.EUR == 1")


@pytest.mark.parametrize(
    ("fits", "beyond"),
    [
        ("1" + " " * (LONGEST - 1), "1" + " " * LONGEST),
        ("-" * DEEPEST + "1", "-" * (DEEPEST + 1) + "1"),
        ("Math.abs(" * DEEPEST + "1" + ")" * DEEPEST, "Math.abs(" * (DEEPEST + 1) + "1" + ")" * (DEEPEST + 1)),
        ("2^" * 0 + "^".join("1" * (DEEPEST + 1)), "^".join("1" * (DEEPEST + 2))),
        (f"IN({','.join('1' * MOST_ARGUMENTS)})", f"IN({','.join('1' * (MOST_ARGUMENTS + 1))})"),
        ("9" * 1000, "9" * 1002),
    ],
    ids=["length", "signs", "calls", "powers", "arguments", "digits"],
)
def test_a_limit_is_taken_and_one_more_is_not(fits: str, beyond: str) -> None:
    value_of(fits)
    with pytest.raises(Invalid):
        compile_calculation(beyond)


def test_a_text_that_would_grow_too_long_is_an_error() -> None:
    values = {"new": {"long": "x" * LONGEST_TEXT}}
    assert len(value_of("new.long + ''", values)) == LONGEST_TEXT
    with pytest.raises(CalculationError, match="10000 characters"):
        value_of("new.long + 'x'", values)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "().__class__",
        "new.amount.__class__.__mro__",
        "new['__class__']",
        "Math.__dict__",
        "Math.abs.__globals__",
        "eval('1')",
        "exec('1')",
        "open('/etc/passwd')",
        "lambda: 1",
        "[x for x in (1,)]",
        "{'a': 1}",
        "f'{1}'",
        "1 if true else 2",
        "new.amount.real",
        "new.name.upper()",
        "'a'.join",
        "new.name.format",
        "globals()",
        "getattr(new, 'amount')",
        "1; 2",
        "import os",
        "new.amount := 1",
        "`id`",
        "${jndi}",
    ],
)
def test_there_is_no_way_to_python(text: str) -> None:
    try:
        value = value_of(text)
    except (Invalid, CalculationError):
        return
    assert value is None


def test_a_field_that_holds_a_number_beyond_all_measure_is_an_error() -> None:
    with pytest.raises(CalculationError, match="too large"):
        value_of("new.n > 1", {"new": {"n": Decimal("1e5000")}})
    with pytest.raises(CalculationError, match="too large"):
        value_of("new.n > 1", {"new": {"n": 10**1200}})


# Against a plain evaluation of the same rules


def as_product_sees_it() -> Mapping[str, Any]:
    return {"new": {name: exact(value) for name, value in FIELDS.items()}}


def exact(value: Any) -> Any:
    return Decimal(value.numerator) / Decimal(value.denominator) if isinstance(value, Fraction) else value


@given(TREES)
def test_every_calculation_comes_to_what_the_plain_rules_say(tree: Node) -> None:
    try:
        expected = evaluated(tree)
    except Wrong:
        with pytest.raises(CalculationError):
            value_of(written(tree), as_product_sees_it())
        return
    found = value_of(written(tree), as_product_sees_it())
    assert (Fraction(found) if isinstance(found, Decimal) else found) == expected
    assert isinstance(found, bool) == isinstance(expected, bool)


# Anything at all


def test_no_input_makes_it_crash_or_hang() -> None:
    dice = random.Random(20_261_126)
    good = ["(new.amountSpent >= ((new.amount*90)/100)) OR IN(old.x, 'a')", "a ? b : Math.round(c, 2) ^ 2 % 3 != null"]
    outcomes = Counter[str]()
    words = "new. old. a b 1 0.5 99999 ' \" ( ) [ ] ^ * / % + - == != < > ? : , AND OR null true IN( Math.pow(".split()
    for number in range(CASES):
        match number % 4:
            case 3:
                text = well_formed(dice, 4)
            case 0:
                text = " ".join(dice.choices(words, k=dice.randrange(30)))
            case 1:
                text = "".join(chr(dice.randrange(0x2FF)) for _ in range(dice.randrange(60)))
            case _:
                text = mutated(dice.choice(good), dice)
        outcomes[outcome(text, dice.choice([None, ACCOUNT]))] += 1
    # All of these happen, or the inputs are not worth much; nothing else does.
    assert all(outcomes.pop(each) > CASES // 200 for each in ("refused", "error", "value"))
    assert not outcomes


def outcome(text: str, known: Mapping[str, str] | None) -> str:
    """What becomes of a text; whatever else is raised is a crash."""
    with suppress(CalculationError):
        try:
            compile_calculation(text, known).evaluate(VALUES)
        except Invalid as refusal:
            return "refused" if "^" in refusal.message else "refused without a place"
        return "value"
    return "error"


def well_formed(dice: random.Random, depth: int) -> str:
    """A calculation that can be read, whether or not it comes to anything."""
    if depth == 0 or dice.random() < 0.2:
        return dice.choice(["1", "0", "99.5", "'a'", "null", "true", "new.amount", "new.name", "old.x", "new.tags"])
    one, two = well_formed(dice, depth - 1), well_formed(dice, depth - 1)
    sign = dice.choice("+ - * / % ^ == != < > <= >= AND OR".split())
    return dice.choice(
        [f"({one} {sign} {two})", f"{one} {sign} {two}", f"isnull({one}, {two})", f"-{one}", f"{one} ? {two} : 1"]
    )


def mutated(text: str, dice: random.Random) -> str:
    for _ in range(dice.randrange(1, 5)):
        at = dice.randrange(len(text) + 1)
        text = text[:at] + dice.choice([*string.printable, "", "^9^9^9", "(((", "'"]) + text[at + dice.randrange(3) :]
    return text


def test_the_document_names_every_function_and_constant() -> None:
    document = Path("tollbridge/console/documents/calculation.md").read_text()
    assert [name for name in calculation.names() if name not in document] == []
