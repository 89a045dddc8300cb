"""What a person sets for Stripe: the credential and the options of one integration. No rules about bills here."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from tollbridge.connectors.base import System
from tollbridge.domain.integrations import Options

_KEY = re.compile(r"(sk|rk)_(live|test)_[A-Za-z0-9_]+")
TAX_RATE = "TaxRate"
"""What Stripe calls the things of which an option has the ids."""
_PLACE = re.compile(r"\{([^{}]*)\}")

TEMPLATE_FIELDS = (
    "billId",
    "invoiceNumber",
    "accountId",
    "accountCode",
    "accountName",
    "billDate",
    "dueDate",
    "periodStart",
    "periodEnd",
    "currency",
    "total",
    "purchaseOrder",
)


class StripeCredential(BaseModel):
    """A secret or restricted API key of one Stripe account, in live or in test mode."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    api_key: Annotated[
        SecretStr,
        Field(
            description="Secret key (sk_…) or restricted key (rk_…) with write access to customers, invoices and "
            "credit notes and read access to events."
        ),
    ]
    stripe_account: Annotated[
        str | None,
        Field(
            pattern=r"^acct_[A-Za-z0-9]+$",
            description="Connected account (acct_…) for which a platform's key acts. Empty: the key's own account.",
        ),
    ] = None

    @field_validator("api_key")
    @classmethod
    def _is_a_key_of_this_mode(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        text = key.get_secret_value()
        match = _KEY.fullmatch(text)
        if match is None:
            raise ValueError(
                f"not a secret key of Stripe: {_what_is(text)}; it begins with sk_live_, rk_live_, sk_test_ …"
            )
        system = (info.context or {}).get("system")
        if isinstance(system, System) and system.live != (match[2] == "live"):
            other = "Stripe (Test mode)" if system.live else "Stripe"
            raise ValueError(
                f"this is a {match[2]} key, but the credential is for {system.title}; "
                f"use a {'live' if system.live else 'test'} key, or make the credential for {other}"
            )
        return key


def _what_is(text: str) -> str:
    if text.startswith("pk_"):
        return "pk_… is a publishable key, which cannot write invoices"
    if text.strip() != text:
        return "it begins or ends with white space"
    return "its form is unknown"


def _known_places(template: str) -> str:
    unknown = [name for name in _PLACE.findall(template) if name not in TEMPLATE_FIELDS]
    if unknown:
        raise ValueError(f"{{{unknown[0]}}} is no field; known are {', '.join(TEMPLATE_FIELDS)}")
    if set("{}") & set(_PLACE.sub("", template)):
        raise ValueError("a brace stands alone; write fields as {billId}")
    return template


Template = Annotated[str, AfterValidator(_known_places)]


def fill(template: str, values: dict[str, str]) -> str:
    """The template with its fields filled in; fields without a value become empty."""
    return _PLACE.sub(lambda match: values.get(match[1], ""), template).strip()


class CollectionMethod(StrEnum):
    SEND_INVOICE = "send_invoice"
    CHARGE_AUTOMATICALLY = "charge_automatically"


class Due(StrEnum):
    BILL = "bill"
    DAYS = "days"


class DocumentDate(StrEnum):
    BILL_DATE = "bill_date"
    SERVICE_END = "service_end"
    EXTERNAL_INVOICE_DATE = "external_invoice_date"
    SENT = "sent"


class Finish(StrEnum):
    DRAFT = "draft"
    FINALISE = "finalise"
    SEND = "send"


class Tax(StrEnum):
    NONE = "none"
    AUTOMATIC = "automatic"
    RATES = "rates"


class ZeroTotal(StrEnum):
    SKIP = "skip"
    SEND = "send"


class NegativeTotal(StrEnum):
    REFUSE = "refuse"
    SEND = "send"


class InexactTotal(StrEnum):
    REFUSE = "refuse"
    ROUND = "round"


class Overflow(StrEnum):
    ROLL_UP = "roll_up"
    SPLIT = "split"
    REFUSE = "refuse"


class MissingCustomer(StrEnum):
    CREATE = "create"
    REFUSE = "refuse"


class StripeOptions(Options):
    """How one integration sends bills to Stripe."""

    finish: Annotated[
        Finish,
        Field(
            description="How far an invoice is taken: left as a draft to be looked at, finalised (its amounts are "
            "fixed and it gets its number), or finalised and sent to the customer by e-mail."
        ),
    ] = Finish.DRAFT
    collection_method: Annotated[
        CollectionMethod,
        Field(
            description="send_invoice: the customer pays by the invoice; charge_automatically: Stripe charges the "
            "customer's payment method when the invoice is finalised."
        ),
    ] = CollectionMethod.SEND_INVOICE
    due: Annotated[
        Due,
        Field(
            description="With send_invoice, when payment is due: on the bill's due date (days until due where it has "
            "none; at once where it has passed), or always so many days after finalising."
        ),
    ] = Due.BILL
    days_until_due: Annotated[
        int, Field(ge=0, le=730, description="Days between finalising and the due date, where the days decide.")
    ] = 30
    document_date: Annotated[
        DocumentDate,
        Field(
            description="Date of issue on the invoice: the bill date, the last day of the bill's service period, its "
            "external invoice date, or the day on which Stripe finalises it."
        ),
    ] = DocumentDate.BILL_DATE
    tax: Annotated[
        Tax,
        Field(
            description="none: Stripe adds no tax; automatic: Stripe Tax computes it; rates: the tax rates given below."
        ),
    ] = Tax.NONE
    tax_rates: Annotated[
        dict[str, tuple[Annotated[str, Field(pattern=r"^txr_\w+$")], ...]],
        Field(
            description="With tax by rates: Stripe's exclusive tax rates (txr_…) by product code, else by line item "
            "type, else by *. An empty list means no tax.",
            json_schema_extra={"choices": TAX_RATE},
        ),
    ] = Field(default_factory=dict)
    memo: Annotated[
        Template,
        Field(description="Text on the invoice. Fields such as {accountName} or {periodStart} are filled in."),
    ] = ""
    reference: Annotated[
        Template,
        Field(description="Shown on the invoice as Reference; filled in like the memo. Empty: not shown."),
    ] = "{invoiceNumber}"
    zero_total: Annotated[
        ZeroTotal, Field(description="A bill that adds up to zero is skipped, or sent like any other.")
    ] = ZeroTotal.SKIP
    negative_total: Annotated[
        NegativeTotal,
        Field(
            description="A bill that adds up to less than zero is refused, or sent: Stripe then credits the customer's "
            "balance when it is finalised."
        ),
    ] = NegativeTotal.REFUSE
    inexact_total: Annotated[
        InexactTotal,
        Field(
            description="A total that Stripe cannot hold to the last digit (KWD, BHD, JOD, OMR and TND in steps of "
            "0.010; MGA, ISK and UGX in whole units) is refused, or rounded half up with the difference noted."
        ),
    ] = InexactTotal.REFUSE
    overflow: Annotated[
        Overflow,
        Field(
            description="A bill of more than 250 lines, Stripe's limit: lines of one product and type are rolled up, "
            "the bill is split over several invoices, or it is refused."
        ),
    ] = Overflow.ROLL_UP
    missing_customer: Annotated[
        MissingCustomer,
        Field(
            description="An account without a customer in Stripe: the customer is created once, or the bill refused."
        ),
    ] = MissingCustomer.CREATE
    customer_name: Annotated[
        Template, Field(description="Name of a customer that is created; filled in like the memo.")
    ] = "{accountName}"
    email_field: Annotated[
        str,
        Field(description="Custom field of the account with the address for invoices. Empty: the account's e-mail."),
    ] = ""
    send_address: Annotated[bool, Field(description="Give a customer that is created the account's address.")] = True
    vat_id_field: Annotated[
        str, Field(description="Custom field of the account with its VAT id. Empty: none is sent.")
    ] = ""
    vat_id_type: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9_]*$",
            description="Stripe's type of that id, such as eu_vat. Empty: by the country of the account's address.",
        ),
    ] = ""
    purchase_order_field: Annotated[
        str,
        Field(
            description="Custom field of the account with the purchase order number. Empty: the number of the bill, "
            "else of the account."
        ),
    ] = ""
    purchase_order_label: Annotated[
        str,
        Field(max_length=40, description="Name under which the invoice shows the number. Empty: it is not shown."),
    ] = "Purchase order"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.finish is Finish.SEND and self.collection_method is CollectionMethod.CHARGE_AUTOMATICALLY:
            raise ValueError(
                "finish is send, but Stripe sends only invoices collected by send_invoice; "
                "set finish to finalise, or collectionMethod to send_invoice"
            )
        if self.tax is Tax.RATES and not self.tax_rates:
            raise ValueError('tax is rates, but taxRates is empty; give at least {"*": ["txr_…"]}')
        return self
