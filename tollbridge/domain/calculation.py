"""The calculation language: conditions of notification rules and filters of accounts, compiled to closures.

A grammar decides what can be said; what is compiled knows numbers, texts, truth values and fields, and nothing of
Python. Numbers are exact decimals. tollbridge/console/documents/calculation.md has every rule; tests hold both
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException, DivisionByZero, InvalidOperation, Overflow
from functools import cache
from typing import Any, TypeAlias

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import did_you_mean

LONGEST = 4096
"""Characters of a calculation."""
DEEPEST = 50
"""Levels of nesting: calls, branches of `? :` and chains of `^` and of signs."""
MOST_ARGUMENTS = 100
"""Arguments of one call."""
LONGEST_TEXT = 10_000
"""Characters of a text that a calculation makes."""
DIGITS = 50
"""Digits to which a result is exact."""
LARGEST_EXPONENT = 1000
"""A number beyond ten to the power of this is an error."""
MOST_DECIMALS = 50
"""The scale of Math.round lies between this and its negative."""

TIMESTAMP_FORMAT = "yyyy-MM-dd'T'HH:mm:ss.SSSX"

Value: TypeAlias = Any
"""Decimal, str, bool, None, or what else a field holds: a list or a map, which can only be compared with `==`."""
Values: TypeAlias = Mapping[str, Any]
"""What fields are read from: `new.amount` is `values["new"]["amount"]`."""
_Run: TypeAlias = Callable[[Values], Value]

_GRAMMAR = r"""
    start: ternary
    ?ternary: either ["?" ternary ":" ternary]
    ?either: both ("OR" both)*
    ?both: equality ("AND" equality)*
    ?equality: comparison (EQUALS comparison)*
    ?comparison: sum (COMPARES sum)*
    ?sum: product (SIGN product)*
    ?product: signed (TIMES signed)*
    ?signed: SIGN signed -> sign
        | power
    ?power: atom ["^" signed]
    ?atom: NUMBER -> number
        | STRING -> text
        | "null" -> null
        | "true" -> true
        | "false" -> false
        | name "(" [ternary ("," ternary)*] ")" -> call
        | name -> field
        | "(" ternary ")"
    name: NAME ("." NAME | "[" STRING "]")*
    EQUALS: "==" | "!="
    COMPARES: "<=" | ">=" | "<" | ">"
    SIGN: "+" | "-"
    TIMES: "*" | "/" | "%"
    NUMBER: /[0-9]+(\.[0-9]+)?/
    NAME: /[A-Za-z_][A-Za-z0-9_]*/
    STRING: /'(\\.|[^'\\])*'/ | /"(\\.|[^"\\])*"/
    %ignore /[ \t\r\n]+/
"""

_CONTEXT = Context(
    prec=DIGITS,
    rounding=ROUND_HALF_UP,
    Emax=LARGEST_EXPONENT,
    Emin=-LARGEST_EXPONENT,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_PI = Decimal("3.1415926535897932384626433832795028841971693993751")


class CalculationError(Exception):
    """A calculation that is right in itself came to nothing with these values; `at` is the place in its text."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


class Calculation:
    """A calculation that can be evaluated. `fields` are the variables that it reads, as they stand in its text."""

    def __init__(self, text: str, run: _Run, fields: frozenset[str]) -> None:
        self.text = text
        self.fields = fields
        self._run = run

    def evaluate(self, values: Values) -> Value:
        """The result; raises CalculationError where there is none."""
        return self._run(values)

    def is_true(self, values: Values) -> bool:
        """Whether the condition holds; null does not. Raises CalculationError where it is no condition."""
        return _truth(self._run(values), 0)


def compile_calculation(text: str, known: Mapping[str, str] | None = None, field: str = "calculation") -> Calculation:
    """Compile; raises Invalid that shows the place with a caret. `field` is where the text stands in the caller's body.

    `known` are the variables by name with their types (`map`: anything may follow after a point); None knows all.
    Where it is given, a single word on the right of `==` and `!=`, or in IN after the first, is a text without quotes.
    """
    if len(text) > LONGEST:
        raise Invalid(
            "calculation.too_long",
            f"{field} has {len(text)} characters, but at most {LONGEST} are taken.",
            "Split it into several rules.",
            field,
        )
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _syntax_error(text, error, field) from None
    compiler = _Compiler(text, known, field)
    run = compiler.compile(_trees(tree)[0], 0)
    return Calculation(text, run, frozenset(compiler.fields))


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _syntax_error(text: str, error: UnexpectedInput, field: str) -> Invalid:
    at = len(text.rstrip()) if isinstance(error, UnexpectedEOF) or error.pos_in_stream in (None, -1) else 0
    at = at or error.pos_in_stream or 0
    match error:
        case UnexpectedToken() if error.token.type != "$END":
            what = f"{str(error.token)[:40]!r} is not expected here"
        case UnexpectedCharacters():
            what = f"the character {text[at]!r} is not expected here"
        case _:
            at, what = len(text.rstrip()), "it ends too early"
    return _invalid(
        text, at, what, field, "See “The calculation language” among the Console's documents for what can be written."
    )


def _invalid(text: str, at: int, what: str, field: str, hint: str | None) -> Invalid:
    return Invalid("calculation.invalid", f"{field}: {what}.\n{caret(text, at)}", hint, field)


def caret(text: str, at: int) -> str:
    """The place in words, and the line of the text with a caret below it."""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : len(text) if end < 0 else end]
    column = at - start
    # A long line is shown around the place.
    cut = max(0, column - 60)
    shown = "".join(character if character.isprintable() else " " for character in line[cut : cut + 120])
    return f"{place(text, at)}:\n{shown}\n{' ' * (column - cut)}^"


def place(text: str, at: int) -> str:
    """The place in words, counted from one."""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


class _Compiler:
    """Makes closures of a tree. One for each calculation."""

    def __init__(self, text: str, known: Mapping[str, str] | None, field: str) -> None:
        self._text, self._known, self._field = text, known, field
        self.fields: set[str] = set()

    def compile(self, node: Tree[Token], depth: int, bare: bool = False) -> _Run:
        """`bare` says that a single unknown word stands for its own text here."""
        if depth > DEEPEST:
            raise self._error(node, f"it is nested deeper than {DEEPEST} levels", "Split it into several rules.")
        if node.data == "field":
            return self._compile_field(node, bare)
        compiled: _Run = getattr(self, f"_compile_{node.data}")(node, depth)
        return compiled

    def _compile_number(self, node: Tree[Token], depth: int) -> _Run:
        try:
            return _constant(_number(Decimal(_only(node))))
        except Overflow:
            raise self._error(node, "the number is too large", None) from None

    def _compile_text(self, node: Tree[Token], depth: int) -> _Run:
        return _constant(self._unquoted(_only(node)))

    def _compile_null(self, node: Tree[Token], depth: int) -> _Run:
        return _constant(None)

    def _compile_true(self, node: Tree[Token], depth: int) -> _Run:
        return _constant(True)

    def _compile_false(self, node: Tree[Token], depth: int) -> _Run:
        return _constant(False)

    def _compile_ternary(self, node: Tree[Token], depth: int) -> _Run:
        at = self._at(node)
        condition, then, otherwise = (self.compile(each, depth + 1) for each in _trees(node))
        return lambda values: (then if _truth(condition(values), at) else otherwise)(values)

    def _compile_either(self, node: Tree[Token], depth: int) -> _Run:
        sides = [(self.compile(each, depth + 1), self._at(each)) for each in _trees(node)]

        return lambda values: any(_truth(side(values), at) for side, at in sides)

    def _compile_both(self, node: Tree[Token], depth: int) -> _Run:
        sides = [(self.compile(each, depth + 1), self._at(each)) for each in _trees(node)]

        return lambda values: all(_truth(side(values), at) for side, at in sides)

    def _compile_equality(self, node: Tree[Token], depth: int) -> _Run:
        return self._chain(node, depth, _EQUALITY, bare=True)

    def _compile_comparison(self, node: Tree[Token], depth: int) -> _Run:
        return self._chain(node, depth, _COMPARISONS)

    def _compile_sum(self, node: Tree[Token], depth: int) -> _Run:
        return self._chain(node, depth, _SUMS)

    def _compile_product(self, node: Tree[Token], depth: int) -> _Run:
        return self._chain(node, depth, _PRODUCTS)

    def _compile_power(self, node: Tree[Token], depth: int) -> _Run:
        at = self._at(node)
        base, exponent = (self.compile(each, depth + 1) for each in _trees(node))
        return lambda values: _power(base(values), exponent(values), at)

    def _compile_sign(self, node: Tree[Token], depth: int) -> _Run:
        at, inner = self._at(node), self.compile(_trees(node)[0], depth + 1)
        if node.children[0] == "+":
            return lambda values: _number_of(inner(values), at)
        return lambda values: None if (value := _number_of(inner(values), at)) is None else _CONTEXT.minus(value)

    def _compile_call(self, node: Tree[Token], depth: int) -> _Run:
        name, *arguments = _trees(node)
        path = self._path(name)
        function = _FUNCTIONS.get(".".join(path))
        if function is None:
            shown = ".".join(path)
            hint = did_you_mean(shown, _FUNCTIONS) or f"Known are {', '.join(_FUNCTIONS)}."
            raise self._error(node, f"there is no function {shown[:60]}", hint)
        least, most, work = function
        if not least <= len(arguments) <= most:
            takes = str(least) if least == most else f"{least} to {most}"
            what = f"{'.'.join(path)} takes {takes} arguments, not {len(arguments)}"
            raise self._error(node, what, None)
        at = self._at(node)
        bare = work is _is_among
        runs = [self.compile(each, depth + 1, bare and place > 0) for place, each in enumerate(arguments)]
        return lambda values: work([run(values) for run in runs], at)

    def _chain(
        self,
        node: Tree[Token],
        depth: int,
        works: Mapping[str, Callable[[Value, Value, int], Value]],
        bare: bool = False,
    ) -> _Run:
        first, *rest = node.children
        assert isinstance(first, Tree)
        start = self.compile(first, depth + 1)
        links = []
        for sign, operand in zip(rest[::2], rest[1::2], strict=True):
            assert isinstance(sign, Token)
            assert isinstance(operand, Tree)
            links.append((works[str(sign)], self.compile(operand, depth + 1, bare), sign.start_pos or 0))

        def run(values: Values) -> Value:
            value = start(values)
            for work, operand, at in links:
                value = work(value, operand(values), at)
            return value

        return run

    def _compile_field(self, node: Tree[Token], bare: bool) -> _Run:
        path = self._path(_trees(node)[0])
        name = ".".join(path)
        if name in _CONSTANTS:
            return _constant(_CONSTANTS[name])
        if self._known is not None and not _is_known(path, self._known):
            if bare and len(path) == 1:
                return _constant(name)
            hint = did_you_mean(name, self._known) or "Put a text in quotes; the fields of the event type are listed."
            raise self._error(node, f"there is no field {name[:60]}", hint)
        self.fields.add(name)
        return _reader(path, self._at(node))

    def _path(self, name: Tree[Token]) -> list[str]:
        tokens = [child for child in name.children if isinstance(child, Token)]
        return [self._unquoted(token) if token.type == "STRING" else str(token) for token in tokens]

    def _unquoted(self, token: Token) -> str:
        inner, text = iter(str(token)[1:-1]), ""
        for character in inner:
            if character == "\\":
                escaped = next(inner)
                if escaped not in _ESCAPES:
                    what = f"\\{escaped} means nothing in a text"
                    raise _invalid(self._text, token.start_pos or 0, what, self._field, "Write \\\\ for a backslash.")
                character = _ESCAPES[escaped]
            text += character
        return text

    def _at(self, node: Tree[Token]) -> int:
        return int(getattr(node.meta, "start_pos", 0))

    def _error(self, node: Tree[Token], what: str, hint: str | None) -> Invalid:
        return _invalid(self._text, self._at(node), what, self._field, hint)


def _trees(node: Tree[Token]) -> list[Tree[Token]]:
    return [child for child in node.children if isinstance(child, Tree)]


def _only(node: Tree[Token]) -> Token:
    (token,) = node.children
    assert isinstance(token, Token)
    return token


def _is_known(path: Sequence[str], known: Mapping[str, str]) -> bool:
    if ".".join(path) in known:
        return True
    return any(known.get(".".join(path[:length])) == "map" for length in range(1, len(path)))


def _constant(value: Value) -> _Run:
    return lambda values: value


def _reader(path: Sequence[str], at: int) -> _Run:
    """Reads a field. What is not there is null, and so is everything inside of null."""

    def run(values: Values) -> Value:
        value: Any = values
        for name in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(name)
        return _as_value(value, at)

    return run


def _as_value(value: Any, at: int) -> Value:
    # bool is an int to Python, and a truth value here.
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, Decimal)):
        try:
            return _number(Decimal(value))
        except DecimalException:
            raise CalculationError("a number in a field is too large", at) from None
    return value


def _number(value: Decimal) -> Decimal:
    return _CONTEXT.plus(value)


def _kind(value: Value) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case Decimal():
            return "a number"
        case str():
            return "a text"
        case _:
            return "a list" if isinstance(value, Sequence) else "a map"


def _truth(value: Value, at: int) -> bool:
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    raise CalculationError(f"a condition is needed here, but this is {_kind(value)}", at)


def _number_of(value: Value, at: int) -> Decimal | None:
    if value is None or (isinstance(value, Decimal) and not isinstance(value, bool)):
        return value
    raise CalculationError(f"a number is needed here, but this is {_kind(value)}", at)


def _exact(work: Callable[[Decimal, Decimal], Decimal]) -> Callable[[Value, Value, int], Value]:
    """An operator on two numbers; with null the result is null."""

    def run(left: Value, right: Value, at: int) -> Value:
        if left is None or right is None:
            _number_of(left, at)
            _number_of(right, at)
            return None
        if not (isinstance(left, Decimal) and isinstance(right, Decimal)):
            raise CalculationError(f"this cannot be done with {_kind(left)} and {_kind(right)}", at)
        try:
            return work(left, right)
        except DivisionByZero:
            raise CalculationError("division by zero", at) from None
        except DecimalException:
            raise CalculationError("the result is no number, or too large a one", at) from None

    return run


_plus_numbers = _exact(_CONTEXT.add)


def _plus(left: Value, right: Value, at: int) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > LONGEST_TEXT:
            raise CalculationError(f"a text of more than {LONGEST_TEXT} characters would come about", at)
        return left + right
    return _plus_numbers(left, right, at)


def _remainder(left: Decimal, right: Decimal) -> Decimal:
    if right == 0:
        raise DivisionByZero
    # Exact whatever the size of the quotient, which must not have more digits than the precision.
    if left.adjusted() - right.adjusted() >= DIGITS:
        raise InvalidOperation
    return _CONTEXT.remainder(left, right)


def _raise(base: Decimal, exponent: Decimal) -> Decimal:
    if base == 0 and exponent < 0:
        raise DivisionByZero
    # As everywhere but in decimal arithmetic, anything to the power of nothing is one.
    return Decimal(1) if exponent == 0 else _CONTEXT.power(base, exponent)


_power = _exact(_raise)


def _equal(left: Value, right: Value, at: int) -> bool:
    # True is 1 to Python; here nothing of one kind equals anything of another.
    return _kind(left) == _kind(right) and bool(left == right)


def _ordered(work: Callable[[Any, Any], bool]) -> Callable[[Value, Value, int], Value]:
    """An order between two numbers or two texts (by code points, as moments in UTC sort); with null it never holds."""

    def run(left: Value, right: Value, at: int) -> Value:
        if left is None or right is None:
            return False
        kinds = {type(left), type(right)}
        if kinds in ({Decimal}, {str}):
            return work(left, right)
        raise CalculationError(f"{_kind(left)} cannot be compared with {_kind(right)}", at)

    return run


_EQUALITY: Mapping[str, Callable[[Value, Value, int], Value]] = {
    "==": _equal,
    "!=": lambda left, right, at: not _equal(left, right, at),
}
_COMPARISONS = {
    "<": _ordered(lambda left, right: left < right),
    ">": _ordered(lambda left, right: left > right),
    "<=": _ordered(lambda left, right: left <= right),
    ">=": _ordered(lambda left, right: left >= right),
}
_SUMS = {"+": _plus, "-": _exact(_CONTEXT.subtract)}
_PRODUCTS = {
    "*": _exact(_CONTEXT.multiply),
    "/": _exact(_CONTEXT.divide),
    "%": _exact(_remainder),
}
_CONSTANTS: Mapping[str, Value] = {"Math.PI": _PI, "DateTime.TS_FMT": TIMESTAMP_FORMAT}

_Work: TypeAlias = Callable[[list[Value], int], Value]


def _numbers(arguments: list[Value], at: int) -> list[Decimal] | None:
    """The arguments as numbers; None where one is null."""
    found = [_number_of(value, at) for value in arguments]
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else None


def _of_one(work: Callable[[Decimal], Decimal]) -> _Work:
    def run(arguments: list[Value], at: int) -> Value:
        numbers = _numbers(arguments, at)
        return None if numbers is None else work(numbers[0])

    return run


def _of_many(choose: Callable[[list[Decimal]], Decimal]) -> _Work:
    def run(arguments: list[Value], at: int) -> Value:
        numbers = _numbers(arguments, at)
        return None if numbers is None else choose(numbers)

    return run


def _whole(rounding: str) -> Callable[[Decimal], Decimal]:
    return lambda value: value.to_integral_value(rounding)


def _round(arguments: list[Value], at: int) -> Value:
    numbers = _numbers(arguments, at)
    if numbers is None:
        return None
    value, scale = numbers[0], numbers[1] if len(numbers) > 1 else Decimal(0)
    if scale != scale.to_integral_value() or abs(scale) > MOST_DECIMALS:
        raise CalculationError(f"the scale must be a whole number from -{MOST_DECIMALS} to {MOST_DECIMALS}", at)
    places = int(scale)
    if -int(value.as_tuple().exponent) <= places:
        return value
    return value.quantize(Decimal((0, (1,), -places)), ROUND_HALF_UP, _CONTEXT)


def _first_known(arguments: list[Value], at: int) -> Value:
    return arguments[1] if arguments[0] is None else arguments[0]


def _is_among(arguments: list[Value], at: int) -> Value:
    return any(_equal(arguments[0], each, at) for each in arguments[1:])


_FUNCTIONS: Mapping[str, tuple[int, int, _Work]] = {
    "Math.max": (2, MOST_ARGUMENTS, _of_many(max)),
    "Math.min": (2, MOST_ARGUMENTS, _of_many(min)),
    "Math.floor": (1, 1, _of_one(_whole("ROUND_FLOOR"))),
    "Math.ceil": (1, 1, _of_one(_whole("ROUND_CEILING"))),
    "Math.round": (1, 2, _round),
    "Math.pow": (2, 2, lambda arguments, at: _power(arguments[0], arguments[1], at)),
    "Math.abs": (1, 1, _of_one(_CONTEXT.abs)),
    "isnull": (2, 2, _first_known),
    "IN": (2, MOST_ARGUMENTS, _is_among),
}
"""Every function: the least and the most arguments, and what it does."""


def names() -> Iterator[str]:
    """Every function and constant, for completion and documents."""
    yield from _FUNCTIONS
    yield from _CONSTANTS
