"""A bill that changes, or is deleted, after it was sent: what may be done about the documents that stand there.

The words are the same for every vendor; what can be done in a given case, only its connector knows. No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Choice(StrEnum):
    """What is done about final documents of an earlier version. Of a deleted bill nothing is issued anew."""

    VOID_AND_REISSUE = "void_and_reissue"
    CREDIT_AND_REISSUE = "credit_and_reissue"
    DELTA = "delta"
    """A document over the difference; a credit note where it is negative."""
    LEAVE = "leave"


class OnChange(StrEnum):
    """The policy of an integration: hold for a person, or one of the choices."""

    HOLD = "hold"
    VOID_AND_REISSUE = "void_and_reissue"
    CREDIT_AND_REISSUE = "credit_and_reissue"
    DELTA = "delta"
    LEAVE = "leave"

    @property
    def choice(self) -> Choice | None:
        return None if self is OnChange.HOLD else Choice(self.value)


class MoneyTo(StrEnum):
    """Where credited money goes that was paid already."""

    BALANCE = "balance"
    """The customer's credit balance, for the next invoices."""
    REFUND = "refund"
    OUT_OF_BAND = "out_of_band"
    """It is given back outside of the other system."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What was chosen, by policy or by a person; without a choice a person is to be asked.

    `mail` says whether the customer may be mailed again, as far as the integration mails at all.
    """

    choice: Choice | None = None
    money: MoneyTo = MoneyTo.BALANCE
    mail: bool = True


ASK = Correction()
"""Nothing was chosen."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the ledger knows of what was sent before: the latest version, and its document where it was delivered.

    It is the present version where an earlier run of it left something there and a replay goes on.
    """

    version: int
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One choice that a person has, and in a sentence what it would do; `money` where it must say where money goes."""

    choice: Choice
    text: str
    money: bool = False
