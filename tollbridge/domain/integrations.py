"""Integration configurations: the options that every integration shares, and the decisions taken by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tollbridge.domain.billing import BillStatus

Layer = TypeVar("Layer", bound="Options")


class Options(BaseModel):
    """A layer of options: camelCase in `configData`, unknown keys refused, every field described."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class GlobalOptions(Options):
    """Options of every integration, whatever it sends."""

    account_ids: Annotated[
        tuple[str, ...], Field(description="Send only for these accounts. Empty: for all accounts.")
    ] = ()
    restricted_account_ids: Annotated[tuple[str, ...], Field(description="Never send for these accounts.")] = ()
    notify_emails: Annotated[
        tuple[str, ...], Field(description="Addresses that are told when the integration is disabled.")
    ] = ()


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
    send_from: Annotated[
        date | None,
        Field(description="The cut-over: bills dated before this day are never sent. Empty: no bill is too old."),
    ] = None
    split_usage_lines: Annotated[
        Split,
        Field(description="Join usage lines: one per bill, per product, per aggregation, or keep each line."),
    ] = Split.LINE
    use_accounting_product: Annotated[
        bool, Field(description="Where a line has an accounting product, use it in place of the product.")
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
    """What is known of a credential: `UNCHECKED` until its first check has ended."""

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
    names = {to_camel(name) for name in model.model_fields}
    return model.model_validate({name: value for name, value in config.items() if name in names})


@dataclass(frozen=True, slots=True)
class Scope:
    """Which bills an integration sends: accounts (empty: all), accounts never, the cut-over, approved bills only."""

    account_ids: tuple[str, ...] = ()
    restricted_account_ids: tuple[str, ...] = ()
    send_from: date | None = None
    approved_only: bool = False


def scope_of(config: Mapping[str, Any]) -> Scope:
    """The scope that a stored `configData` sets."""
    shared, bills = read_layer(GlobalOptions, config), read_layer(BillOptions, config)
    return Scope(shared.account_ids, shared.restricted_account_ids, bills.send_from, bills.only_send_on_approval)


def decide(scope: Scope, bill: BillFacts) -> tuple[Verdict, str]:
    """Whether an integration sends the bill, and why (not), in a sentence."""
    if scope.account_ids and bill.account_id not in scope.account_ids:
        return Verdict.OUT_OF_SCOPE, f"Account {bill.account_id} is not among the integration's account ids."
    if bill.account_id in scope.restricted_account_ids:
        return Verdict.OUT_OF_SCOPE, f"Account {bill.account_id} is among the integration's restricted account ids."
    if scope.send_from is not None and bill.bill_date < scope.send_from:
        return Verdict.TOO_OLD, f"The bill is dated {bill.bill_date}, before the cut-over on {scope.send_from}."
    if scope.approved_only and bill.status != BillStatus.APPROVED:
        return Verdict.AWAITS_APPROVAL, "The bill is sent when it is approved."
    return Verdict.SEND, "The bill is in scope."
