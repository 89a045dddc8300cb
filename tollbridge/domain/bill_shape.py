"""The fields of a bill and of its line items as they come in: types, lengths, names.

The figures' relations to each other are `domain.bill_input`'s. Every field of the wire that is the caller's to give
stands here; what we keep ourselves (status, locks, audit) does not, and is ignored when it comes back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tollbridge.domain.billing import MAX_LINES, LineItemType
from tollbridge.domain.common_fields import amount, calendar_day, currency, own_id
from tollbridge.domain.fields import (
    Rule,
    Shape,
    anything,
    boolean,
    identifier,
    instant,
    integer,
    list_of,
    map_of,
    object_of,
    one_of,
    required,
    text,
    trimmed,
)

BILLING_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "ANNUALLY", "AD_HOC", "MIXED")
ROUNDING_MODES = ("UP", "DOWN", "CEILING", "FLOOR", "HALF_UP", "HALF_DOWN", "HALF_EVEN", "UNNECESSARY")

BOOKKEEPING = frozenset(
    {
        "billJobId",
        "createdDate",
        "csvStatementGenerated",
        "jsonStatementGenerated",
        "lastCalculatedDate",
        "statementStale",
    }
)
"""Fields about how the bill came to be; a change of these alone is no new revision."""

ID = own_id()


def _name(most: int = 200) -> Rule:
    return text(most=most)


_BAND = Shape(
    {
        "bandQuantity": amount(),
        "bandSubtotal": amount(),
        "bandUnits": amount(),
        "convertedBandSubtotal": amount(),
        "creditTypeId": _name(),
        "fixedPrice": amount(),
        "lowerLimit": amount(),
        "pricingBandId": _name(),
        "unitPrice": amount(),
        "unitSubtotal": amount(),
    }
)

_REFERENCES = (
    "accountingProductCode accountingProductId accountingProductName aggregationId balanceId chargeId childAccountCode "
    "childAccountId commitmentId compoundAggregationId contractId counterId creditTypeId meterId planGroupId planId "
    "pricingId productCode productId productName reasonId referencedBillId referencedLineItemId"
).split()

LINE = Shape(
    {
        "id": identifier(),
        "lineItemType": required(one_of(LineItemType)),
        "description": required(text(least=1, most=4000)),
        "quantity": amount(),
        "units": amount(),
        "unit": _name(),
        "averageUnitPrice": amount(),
        "subtotal": required(amount()),
        "currency": currency(),
        "conversionRate": amount(above=Decimal(0)),
        "convertedSubtotal": amount(),
        "sequenceNumber": integer(),
        "servicePeriodStartDate": instant(),
        "servicePeriodEndDate": instant(),
        "usagePerPricingBand": list_of(object_of(_BAND), most=1000),
        "segment": map_of(_name(1000)),
        "group": map_of(_name(1000)),
        "additional": map_of(anything()),
        **dict.fromkeys(_REFERENCES, _name()),
    }
)

BILL = Shape(
    {
        "accountId": identifier(),
        "accountCode": trimmed(least=1, most=80),
        "billDate": required(calendar_day()),
        "currency": required(currency()),
        "billTotal": required(amount()),
        "rounding": object_of(Shape({"mode": one_of(ROUNDING_MODES), "exactTotal": amount(), "difference": amount()})),
        "startDate": calendar_day(),
        "endDate": calendar_day(),
        "startDateTimeUTC": instant(),
        "endDateTimeUTC": instant(),
        "timezone": trimmed(least=1, most=100),
        "dueDate": calendar_day(),
        "billingFrequency": one_of(BILLING_FREQUENCIES),
        "billFrequencyInterval": integer(least=1),
        "billJobId": _name(),
        "currencyConversions": list_of(
            object_of(
                Shape(
                    {"from": required(currency()), "to": required(currency()), "multiplier": amount(above=Decimal(0))}
                )
            ),
            most=250,
        ),
        "externalInvoiceDate": calendar_day(),
        "externalInvoiceReference": _name(),
        "sequentialInvoiceNumber": _name(),
        "purchaseOrderNumber": _name(100),
        "createdDate": instant(),
        "lastCalculatedDate": instant(),
        "csvStatementGenerated": boolean(),
        "jsonStatementGenerated": boolean(),
        "statementStale": boolean(),
    }
)


def schema() -> dict[str, Any]:
    """The accepted bill as JSON Schema."""
    bill = BILL.schema
    lines = {"type": "array", "items": LINE.schema, "maxItems": MAX_LINES}
    return {
        **bill,
        "properties": {"id": dict(ID.schema), **bill["properties"], "lineItems": lines},
        "required": [*bill["required"], "lineItems"],
    }
