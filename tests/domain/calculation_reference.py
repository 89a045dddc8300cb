"""The calculation language once more, plainly: trees that are written as text and evaluated with fractions.

Shares nothing with the product: it knows the rules of tollbridge/console/documents/calculation.md only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

FIELDS: Mapping[str, Any] = {"a": Fraction(3), "b": Fraction(-5, 2), "t": "gold", "yes": True, "gone": None}
"""The fields `new.…` of the trees, and their values."""


class Wrong(Exception):
    """The rules say that this is an error."""


@dataclass(frozen=True)
class Node:
    """A value (no parts), or an operation on its parts."""

    name: str
    parts: tuple[Node, ...] = ()
    value: Any = None


def written(node: Node) -> str:
    """The text of a tree, every operation in parentheses."""
    inner = [written(part) for part in node.parts]
    match node.name:
        case "number":
            return str(node.value)
        case "text":
            return repr(node.value)
        case "field":
            return f"new.{node.value}"
        case "null" | "true" | "false":
            return node.name
        case "?":
            return f"({inner[0]} ? {inner[1]} : {inner[2]})"
        case "negative":
            return f"(-{inner[0]})"
        case _ if node.name[0].isalpha() and node.name not in ("AND", "OR"):
            return f"{node.name}({', '.join(inner)})"
        case _:
            return f"({inner[0]} {node.name} {inner[1]})"


def evaluated(node: Node) -> Any:
    """What the rules say that a tree comes to; raises Wrong."""
    match node.name:
        case "number":
            return Fraction(node.value)
        case "text":
            return node.value
        case "field":
            return FIELDS[node.value]
        case "null":
            return None
        case "true" | "false":
            return node.name == "true"
        case "?":
            return evaluated(node.parts[1] if truth(evaluated(node.parts[0])) else node.parts[2])
        case "AND":
            return truth(evaluated(node.parts[0])) and truth(evaluated(node.parts[1]))
        case "OR":
            return truth(evaluated(node.parts[0])) or truth(evaluated(node.parts[1]))
    values = [evaluated(part) for part in node.parts]
    match node.name:
        case "==":
            return same(*values)
        case "!=":
            return not same(*values)
        case "<" | ">" | "<=" | ">=":
            return ordered(node.name, *values)
        case "isnull":
            return values[1] if values[0] is None else values[0]
        case "IN":
            return any(same(values[0], each) for each in values[1:])
        case "+" if all(isinstance(value, str) for value in values):
            return values[0] + values[1]
    numbers(values)
    return None if None in values else arithmetic(node.name, values)


def truth(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Wrong


def numbers(values: list[Any]) -> None:
    if any(value is not None and not isinstance(value, Fraction) for value in values):
        raise Wrong


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and left == right


def ordered(name: str, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    if type(left) is not type(right) or isinstance(left, bool):
        raise Wrong
    return bool({"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[name])


def arithmetic(name: str, values: list[Fraction]) -> Fraction:
    left, right = values[0], values[-1]
    match name:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "%":
            if right == 0:
                raise Wrong
            return left - right * math.trunc(left / right)
        case "negative":
            return -left
        case "Math.max":
            return max(values)
        case "Math.min":
            return min(values)
        case "Math.floor":
            return Fraction(math.floor(left))
        case "Math.ceil":
            return Fraction(math.ceil(left))
        case "Math.abs":
            return abs(left)
        case "Math.round":
            half_up = math.floor(abs(left) + Fraction(1, 2))
            return Fraction(half_up if left >= 0 else -half_up)
    raise AssertionError(name)


_LEAVES = st.one_of(
    st.decimals(min_value=0, max_value=1000, places=2).map(lambda value: Node("number", value=value)),
    st.sampled_from(["gold", "it's", ""]).map(lambda value: Node("text", value=value)),
    st.sampled_from(sorted(FIELDS)).map(lambda value: Node("field", value=value)),
    st.sampled_from(["null", "true", "false"]).map(Node),
)
_TWO = ["+", "-", "*", "%", "==", "!=", "<", ">", "<=", ">=", "AND", "OR", "isnull", "IN", "Math.max", "Math.min"]
_ONE = ["negative", "Math.floor", "Math.ceil", "Math.abs", "Math.round"]


def _operations(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(lambda name, a, b: Node(name, (a, b)), st.sampled_from(_TWO), inner, inner),
        st.builds(lambda name, a: Node(name, (a,)), st.sampled_from(_ONE), inner),
        st.builds(lambda a, b, c: Node("?", (a, b, c)), inner, inner, inner),
    )


TREES = st.recursive(_LEAVES, _operations, max_leaves=12)
