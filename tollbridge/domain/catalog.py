"""The fields of accounts, products, external mappings and the bill configuration, as the wire has them.

Fields that a caller may not set (audit, version) are not here and are ignored when they come back.
"""

from __future__ import annotations

from tollbridge.domain.common_fields import calendar_day, currency
from tollbridge.domain.fields import (
    Shape,
    identifier,
    integer,
    list_of,
    map_of,
    object_of,
    one_of,
    required,
    text,
    text_or_number,
    trimmed,
)

_CODE = required(trimmed(least=1, most=80))
_NAME = required(text(least=1, most=200))
_CUSTOM_FIELDS = map_of(text_or_number(), most=100)
_MAPPED = required(trimmed(least=1, most=500))

ADDRESS = Shape(
    {
        "addressLine1": text(most=50),
        "addressLine2": text(most=50),
        "addressLine3": text(most=200),
        "addressLine4": text(most=200),
        "locality": text(most=100),
        "region": text(most=50),
        "postCode": text(most=20),
        "country": text(most=100),
    }
)

ACCOUNT = Shape(
    {
        "code": _CODE,
        "name": _NAME,
        "emailAddress": required(
            text(least=3, most=320, pattern=r"[^@\s]+@[^@\s]+", says="an e-mail address such as ap@example.com")
        ),
        "address": object_of(ADDRESS),
        "currency": currency(),
        "purchaseOrderNumber": text(most=100),
        "daysBeforeBillDue": integer(least=1, most=2**31 - 1),
        "billEpoch": calendar_day(),
        "autoGenerateStatementMode": one_of(("NONE", "JSON", "JSON_AND_CSV")),
        "creditApplicationOrder": list_of(one_of(("PREPAYMENT", "BALANCE")), most=2),
        "parentAccountId": identifier(),
        "statementDefinitionId": text(most=200),
        "customFields": _CUSTOM_FIELDS,
    }
)

PRODUCT = Shape({"code": _CODE, "name": _NAME, "customFields": _CUSTOM_FIELDS})

BILL_CONFIG = Shape({"billLockDate": calendar_day()})

EXTERNAL_MAPPING = Shape(
    {
        "m3terEntity": _MAPPED,
        "m3terId": _MAPPED,
        "externalSystem": _MAPPED,
        "externalTable": _MAPPED,
        "externalId": _MAPPED,
        "integrationConfigId": text(most=200),
    }
)
