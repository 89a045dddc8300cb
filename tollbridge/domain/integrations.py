"""Integration configurations: the options that every integration shares, and the decisions taken by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tollbridge.domain.billing import BillStatus
from tollbridge.domain.changes import Correction, MoneyTo, OnChange

Layer = TypeVar("Layer", bound="Options")

MOST_FIRST_SENDS = 1000
"""Bills that an integration can be set to send first, at most."""
MOST_ERRORS = 1_000_000
"""After which an integration can be set to be disabled, at most."""


class Options(BaseModel):
    """A layer of options: camelCase in `configData`, unknown keys refused, every field described."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class CountErrors(StrEnum):
    """Which error events count towards disabling an integration."""

    ALL = "ALL"
    SHARED = "SHARED"
    """Those that are not about a single account."""


class GlobalOptions(Options):
    """Options of every integration, whatever it sends."""

    account_ids: Annotated[
        tuple[str, ...], Field(description="Send only for these accounts. Empty: for all accounts.")
    ] = ()
    restricted_account_ids: Annotated[tuple[str, ...], Field(description="Never send for these accounts.")] = ()
    notify_emails: Annotated[
        tuple[str, ...], Field(description="Addresses that are told when the integration is disabled.")
    ] = ()
    notify_users: Annotated[
        tuple[str, ...], Field(description="Ids of users who are told when the integration is disabled.")
    ] = ()
    disable_after: Annotated[
        int | None,
        Field(
            ge=0,
            le=MOST_ERRORS,
            description="Disable the integration after so many error events in succession. 0: never. Empty: as the "
            "installation is set (TOLLBRIDGE_DISABLE_AFTER).",
        ),
    ] = None
    probe: Annotated[
        bool | None,
        Field(
            description="Where errors disabled the integration, try one held run after a while: a success enables it, "
            "a failure doubles the wait. Empty: for webhooks, not for bills."
        ),
    ] = None
    count_errors: Annotated[
        CountErrors,
        Field(
            description="Which error events count: all, or only those shared by all accounts, so that accounts without "
            "a mapping and bills that are refused do not stop the others."
        ),
    ] = CountErrors.ALL


class Split(StrEnum):
    """How usage lines are joined before they are sent."""

    BILL = "BILL"
    PRODUCT = "PRODUCT"
    AGGREGATION = "AGGREGATION"
    LINE = "LINE"


class BillOptions(Options):
    """Options of every integration that sends bills."""

    only_send_on_approval: Annotated[
        bool, Field(description="Send a bill only when it is approved, not whenever it is calculated.")
    ] = False
    account_filter: Annotated[
        str | None,
        Field(
            description="Send only for the accounts for which this calculation is true, such as "
            "`address.country == US`. Empty: for all accounts."
        ),
    ] = None
    send_from: Annotated[
        date | None,
        Field(description="The cut-over: bills dated before this day are never sent. Empty: no bill is too old."),
    ] = None
    first_sends: Annotated[
        int,
        Field(
            ge=0,
            le=MOST_FIRST_SENDS,
            description="Send so many bills, then wait until somebody had a look at them and continues the "
            "integration. 0: do not wait. A new number begins anew.",
        ),
    ] = 0
    volume_guard: Annotated[
        bool,
        Field(
            description="Wait until somebody continues the integration where the bills of a calendar month come to "
            "more than twice those of the last one, by count or by the sum of a currency."
        ),
    ] = False
    split_usage_lines: Annotated[
        Split,
        Field(description="Join usage lines: one per bill, per product, per aggregation, or keep each line."),
    ] = Split.LINE
    use_accounting_product: Annotated[
        bool, Field(description="Where a line has an accounting product, use it in place of the product.")
    ] = True
    on_change: Annotated[
        OnChange,
        Field(
            description="What happens where a bill changes, or is deleted, after its document became final there: hold "
            "for a person, void and reissue, credit and reissue, a document over the difference, or leave as it is. "
            "Drafts are always replaced."
        ),
    ] = OnChange.HOLD
    change_money: Annotated[
        MoneyTo,
        Field(
            description="Where money goes that is credited but was paid already: the customer's balance, a refund, or "
            "given back out of band."
        ),
    ] = MoneyTo.BALANCE
    change_mail: Annotated[
        bool, Field(description="Mail corrected documents to the customer again, where the integration mails at all.")
    ] = True


class IntegrationStatus(StrEnum):
    """The state of an integration that people see."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTED = "CONNECTED"
    DISABLED = "DISABLED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Mappings:
    """External mappings of one system as a run sees them: (entity, entity id, table) → external id."""

    ids: Mapping[tuple[str, str, str], str]

    def find(self, entity: str, entity_id: str, table: str) -> str | None:
        """The external id mapped to ours, or None."""
        return self.ids.get((entity, entity_id, table))


class CredentialStatus(StrEnum):
    """What is known of a credential: `WAITING` until a person has connected it, `UNCHECKED` until its first check has
    ended."""

    WAITING = "WAITING"
    UNCHECKED = "UNCHECKED"
    VALID = "VALID"
    INVALID = "INVALID"


class Cause(StrEnum):
    """What happened to a bill."""

    CALCULATED = "CALCULATED"
    APPROVED = "APPROVED"
    WITHDRAWN = "WITHDRAWN"
    """Its approval was taken back."""
    DELETED = "DELETED"


class Verdict(StrEnum):
    """What an integration does with a bill."""

    SEND = "SEND"
    OUT_OF_SCOPE = "OUT_OF_SCOPE"
    TOO_OLD = "TOO_OLD"
    AWAITS_APPROVAL = "AWAITS_APPROVAL"
    UNDECIDED = "UNDECIDED"
    """The account filter came to nothing for its account: nobody knows, and a person must see to it."""
    ALREADY = "ALREADY"
    """A run carries, or carried, this revision of the bill."""
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class BillFacts:
    """What decides whether a bill is sent. `status` is the wire's: PENDING or APPROVED."""

    id: str
    revision: int
    account_id: str
    bill_date: date
    status: str


def read_layer(model: type[Layer], config: Mapping[str, Any]) -> Layer:
    """One layer of options out of a stored `configData`, in which all layers lie side by side."""
    names = _wire_names(model)
    return model.model_validate({name: value for name, value in config.items() if name in names})


@cache
def _wire_names(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(to_camel(name) for name in model.model_fields)


@dataclass(frozen=True, slots=True)
class Filtered:
    """What an account filter came to: the accounts that it leaves out, and why nothing can be said of others."""

    left_out: frozenset[str] = frozenset()
    undecided: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which bills an integration sends: accounts (empty: all), accounts never, the cut-over, approved bills only, and
    the accounts that its filter lets through.

    `filtered` is what the filter came to, once it was applied to the accounts that matter.
    """

    account_ids: tuple[str, ...] = ()
    restricted_account_ids: tuple[str, ...] = ()
    send_from: date | None = None
    approved_only: bool = False
    account_filter: str | None = None
    filtered: Filtered | None = None

    @property
    def by_filter(self) -> Filtered:
        """What the filter came to; a scope whose filter was not applied cannot decide."""
        if self.filtered is None and self.account_filter:
            raise ValueError(f"the account filter was not applied: {self.account_filter}")
        return self.filtered or Filtered()


def scope_of(config: Mapping[str, Any]) -> Scope:
    """The scope that a stored `configData` sets."""
    shared, bills = read_layer(GlobalOptions, config), read_layer(BillOptions, config)
    return Scope(
        shared.account_ids,
        shared.restricted_account_ids,
        bills.send_from,
        bills.only_send_on_approval,
        bills.account_filter or None,
    )


@dataclass(frozen=True, slots=True)
class Position:
    """How a bill lies to the scope of an integration: all that `decide` goes by."""

    unlisted: bool
    restricted: bool
    filtered: bool
    too_old: bool
    unapproved: bool
    undecided: bool

    @property
    def verdict(self) -> Verdict:
        if self.unlisted or self.restricted or self.filtered:
            return Verdict.OUT_OF_SCOPE
        if self.too_old:
            return Verdict.TOO_OLD
        if self.unapproved:
            return Verdict.AWAITS_APPROVAL
        return Verdict.UNDECIDED if self.undecided else Verdict.SEND


def position_of(scope: Scope, bill: BillFacts) -> Position:
    """Where the bill lies; `store.deliveries` asks the same of many bills at once, and a test compares the two."""
    return Position(
        unlisted=bool(scope.account_ids) and bill.account_id not in scope.account_ids,
        restricted=bill.account_id in scope.restricted_account_ids,
        filtered=bill.account_id in scope.by_filter.left_out,
        too_old=scope.send_from is not None and bill.bill_date < scope.send_from,
        unapproved=unapproved(scope, bill),
        undecided=bill.account_id in scope.by_filter.undecided,
    )


def unapproved(scope: Scope, bill: BillFacts) -> bool:
    """Whether the bill lacks the approval that the integration asks for, whatever else."""
    return scope.approved_only and bill.status != BillStatus.APPROVED


def correction_of(config: Mapping[str, Any]) -> Correction:
    """What a stored `configData` says about bills that change after they were sent."""
    options = read_layer(BillOptions, config)
    return Correction(options.on_change.choice, options.change_money, options.change_mail)


def decide(scope: Scope, bill: BillFacts) -> tuple[Verdict, str]:
    """Whether an integration sends the bill, and why (not), in a sentence."""
    position = position_of(scope, bill)
    match position.verdict:
        case Verdict.OUT_OF_SCOPE if position.unlisted:
            reason = f"Account {bill.account_id} is not among the integration's account ids."
        case Verdict.OUT_OF_SCOPE if position.restricted:
            reason = f"Account {bill.account_id} is among the integration's restricted account ids."
        case Verdict.OUT_OF_SCOPE:
            reason = (
                f"Account {bill.account_id} is left out by the integration's account filter: {scope.account_filter}"
            )
        case Verdict.TOO_OLD:
            reason = f"The bill is dated {bill.bill_date}, before the cut-over on {scope.send_from}."
        case Verdict.AWAITS_APPROVAL:
            reason = "The bill is sent when it is approved."
        case Verdict.UNDECIDED:
            reason = (
                f"The integration's account filter came to nothing for account {bill.account_id}: "
                f"{scope.by_filter.undecided[bill.account_id]}."
            )
        case _:
            reason = "The bill is in scope."
    return position.verdict, reason
