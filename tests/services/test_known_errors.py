"""The catalogue of errors: whatever is raised stands in it, what stands in it is raised, and its page is current."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tollbridge.connectors.base import all_connectors
from tollbridge.connectors.stripe import errors as stripe
from tollbridge.domain import known_errors as common
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Reply, Silence
from tollbridge.domain.known_errors import KnownError
from tollbridge.services.known_errors import explain, known_errors, page

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "tollbridge").rglob("*.py"))
PAGE = ROOT / "docs" / "reference" / "errors.md"
LEAST = 60
ENTRIES = list(known_errors().values())


def test_there_are_many_and_each_has_one_entry() -> None:
    entries = [*common.COMMON, *(entry for connector in all_connectors().values() for entry in connector.errors)]
    assert [code for code, count in Counter(entry.code for entry in entries).items() if count > 1] == []
    assert len(entries) == len(ENTRIES) >= LEAST


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.code)
def test_each_entry_is_told_in_sentences(entry: KnownError) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z0-9_]+", entry.code)
    for text in (entry.cause, entry.remedy):
        assert re.match(r"[A-Z`“]", text), text
        assert text.endswith("."), text


@pytest.mark.parametrize("connector", all_connectors().values(), ids=lambda connector: connector.key)
def test_each_connector_tells_its_own_errors_and_what_it_says_of_unknown_ones(connector: object) -> None:
    codes = [entry.code for entry in connector.errors]  # type: ignore[attr-defined]
    key = connector.key  # type: ignore[attr-defined]
    assert all(code.startswith(f"{key}.") for code in codes)
    assert f"{key}.unknown" in codes


def _calls(name: str) -> Iterator[tuple[Path, ast.Call]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield path, node


def test_faults_are_made_from_entries_alone() -> None:
    # The stand-ins have faults of their own, which share a name with ours.
    made = {str(path.relative_to(ROOT)) for path, _ in _calls("Fault")} - {"tollbridge/sandbox/faults.py"}
    assert made == {"tollbridge/domain/known_errors.py"}


def test_entries_are_made_in_the_tables_alone_and_no_fault_gets_another_code() -> None:
    tables = {"domain/known_errors.py", "connectors/stripe/errors.py", "connectors/webhook/faults.py"}
    assert {str(path.relative_to(ROOT / "tollbridge")) for path, _ in _calls("KnownError")} == tables
    renamed = [
        ast.unparse(call.args[0])
        for _, call in _calls("replace")
        if any(keyword.arg == "code" for keyword in call.keywords)
    ]
    # Unknown ones are called by the system's own code.
    assert sorted(renamed) == ["_UNKNOWN", "errors.UNKNOWN"]


@pytest.mark.parametrize("module", [common, stripe], ids=["common", "stripe"])
def test_every_entry_with_a_name_is_raised_somewhere(module: object) -> None:
    names = {name for name, value in vars(module).items() if isinstance(value, KnownError)}
    read: set[str] = set()
    for path in SOURCES:
        if path.parts[-2:] not in (("domain", "known_errors.py"), ("stripe", "errors.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Name):
                    read.add(node.id)
                if isinstance(node, ast.Attribute):
                    read.add(node.attr)
    assert names - read == set()


@pytest.mark.parametrize("entry", stripe.BY_CODE, ids=lambda entry: entry.code)
def test_every_code_of_stripe_is_raised_by_a_reply_that_has_it(entry: KnownError) -> None:
    error = {"code": entry.code.removeprefix("stripe."), "message": "Said so."}
    fault = all_connectors()["stripe"].classify(Reply(400, {}, json.dumps({"error": error}).encode()))
    assert fault is not None
    assert (fault.code, fault.kind, fault.hint) == (entry.code, entry.kind, entry.remedy)
    assert "Said so." in fault.message


def test_every_answer_of_a_receiver_that_is_listed_can_come() -> None:
    webhook = all_connectors()["webhook"]
    found = [webhook.classify(Reply(status)) for status in range(300, 600)]
    listed = {entry.code for entry in webhook.errors} - {"webhook.unknown"}
    assert listed <= {fault.code for fault in found if fault}


def test_every_silence_has_an_entry_of_its_name() -> None:
    assert {silence: entry.code for silence, entry in common.SILENCES.items()} == {
        silence: f"network.{silence}" for silence in Silence
    }


@pytest.mark.parametrize(
    ("system", "reply"),
    [
        ("stripe", Reply(402, {}, b'{"error": {"code": "brand_new", "message": "Odd."}}')),
        ("webhook", Reply(418, {}, b"Odd.")),
    ],
)
def test_an_unknown_error_says_that_it_is_unknown_and_repeats_what_was_said(system: str, reply: Reply) -> None:
    fault = all_connectors()[system].classify(reply)
    assert isinstance(fault, Fault)
    assert "unknown" in fault.message
    assert "Odd." in fault.message
    known = explain(fault.code)
    assert known is not None
    assert known.code == f"{system}.unknown"


def test_a_code_of_a_system_that_is_not_installed_is_not_explained() -> None:
    assert explain("elsewhere.odd") is None


def test_the_reference_of_errors_is_current() -> None:
    wanted = page("../explanation/failures.md")
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        PAGE.write_text(wanted, encoding="utf-8")
        pytest.fail("docs/reference/errors.md was not current and was written anew")
