"""What may be suggested as the same thing there, and what may not."""

from __future__ import annotations

from tollbridge.domain.choices import EMAIL, NAME, Asked, Ours, Thing, marks_of, suggest


def ours(id: str, name: str = "", email: str = "") -> Ours:
    return Ours("Account", id, name, {NAME: name, EMAIL: email})


def theirs(id: str, name: str = "", email: str = "") -> Thing:
    return Thing(id, name, {mark: value for mark, value in ((NAME, name), (EMAIL, email)) if value})


def pairs(mine: list[Ours], things: list[Thing], taken: tuple[str, ...] = ()) -> dict[str, tuple[str, str]]:
    return {each.ours.id: (each.thing.id, each.evidence) for each in suggest(mine, things, taken)}


def test_the_same_address_counts_more_than_the_same_name_whatever_the_capitals() -> None:
    acme = ours("a", "Acme Ltd", "Billing@acme.example")
    things = [theirs("c1", "Acme Ltd"), theirs("c2", "Other", "billing@ACME.example")]
    assert pairs([acme], things) == {"a": ("c2", "same e-mail address Billing@acme.example")}
    assert pairs([acme], [theirs("c1", " acme  LTD ")]) == {"a": ("c1", "same name Acme Ltd")}


def test_of_several_with_the_address_the_name_may_tell_and_otherwise_nothing_is_suggested() -> None:
    acme = ours("a", "Acme Ltd", "ap@acme.example")
    shared = [theirs("c1", "Acme Ltd", "ap@acme.example"), theirs("c2", "Acme GmbH", "ap@acme.example")]
    both = "same e-mail address ap@acme.example, same name Acme Ltd"
    assert pairs([acme], shared) == {"a": ("c1", both)}
    # One that has the name alone is none of those with the address.
    assert (
        pairs(
            [acme],
            [theirs("c1", "X", "ap@acme.example"), theirs("c2", "Y", "ap@acme.example"), theirs("c3", "Acme Ltd")],
        )
        == {}
    )
    assert pairs([acme], [theirs("c1", "Acme Ltd"), theirs("c2", "Acme Ltd")]) == {}


def test_what_fits_two_of_ours_or_is_taken_is_not_suggested() -> None:
    two = [ours("a", "A", "ap@acme.example"), ours("b", "B", "ap@acme.example")]
    assert pairs(two, [theirs("c1", "C", "ap@acme.example")]) == {}
    assert pairs([ours("a", "Acme")], [theirs("c1", "Acme")], taken=("c1",)) == {}
    # What is taken does not make the other one ambiguous.
    assert pairs([ours("a", "Acme")], [theirs("c1", "Acme"), theirs("c2", "Acme")], taken=("c1",)) == {
        "a": ("c2", "same name Acme")
    }


def test_nothing_is_like_nothing() -> None:
    assert pairs([ours("a")], [theirs("c1"), theirs("c2")]) == {}
    assert marks_of([ours("a"), ours("b", "B", "b@x.example"), ours("c", "B")]) == ((EMAIL, "b@x.example"), (NAME, "B"))


def test_a_question_is_read_as_it_was_written() -> None:
    asked = Asked("Customer", "acme", ((EMAIL, "a@x.example"),), 7)
    assert Asked.read(asked.written) == asked
