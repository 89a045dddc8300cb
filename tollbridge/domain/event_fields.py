"""The fields of entities that lie elsewhere, from the response tables of the wire, by their name in event types.

Data only. The entities that we hold ourselves have their fields from their own shapes, see `domain.event_types`.
"""

from __future__ import annotations

from collections.abc import Mapping

AUDIT: Mapping[str, str] = {
    "id": "string",
    "version": "int",
    "dtCreated": "string",
    "createdBy": "string",
    "dtLastModified": "string",
    "lastModifiedBy": "string",
}
"""What every entity has."""


def _of(
    *, string: str = "", double: str = "", int: str = "", boolean: str = "", map: str = "", array: str = ""
) -> Mapping[str, str]:
    kinds = {"string": string, "double": double, "int": int, "boolean": boolean, "map": map, "array": array}
    return {**AUDIT, **{name: kind for kind, names in kinds.items() for name in names.split()}}


FOREIGN: Mapping[str, Mapping[str, str]] = {
    "balance": _of(
        string=(
            "accountId balanceDrawDownDescription code consumptionsAccountingProductId contractId currency "
            "description endDate feesAccountingProductId name overageDescription rolloverEndDate startDate"
        ),
        double="amount overageSurchargePercent rolloverAmount",
        boolean="allowOverdraft",
        map="customFields",
        array="lineItemTypes productIds",
    ),
    "balanceamount": _of(
        string="appliedDate currencyPaid description entityId entityType transactionDate transactionTypeId",
        double="amount paid",
    ),
    "billjob": _of(
        string=(
            "billDate billingFrequency dayEpoch dueDate externalInvoiceDate lastDateInBillingPeriod monthEpoch "
            "status targetCurrency timezone type weekEpoch yearEpoch"
        ),
        int="billFrequencyInterval pending total",
        array="accountIds billIds currencyConversions",
    ),
    "charge": _of(
        string=(
            "accountId accountingProductId billDate billId code contractId currency description entityId "
            "entityType lineItemType name notes scheduleId servicePeriodEndDate servicePeriodStartDate"
        ),
        double="amount unitPrice units",
    ),
    "counteradjustment": _of(
        string="accountId counterId date purchaseOrderNumber",
        int="value",
    ),
    "scheduledbalancecharge": _of(
        string=(
            "balanceId billEpoch billFrequency chargeDescription code currency name nextRun previousRun "
            "servicePeriodEndDate servicePeriodStartDate"
        ),
        double="amount unitPrice units",
        int="billFrequencyInterval",
        boolean="billInAdvance",
        map="customFields",
    ),
    "scheduledbalancetransaction": _of(
        string=(
            "balanceId code currencyPaid endDate frequency name nextRun previousRun startDate "
            "transactionDescription transactionTypeId"
        ),
        double="amount paid",
        int="frequencyInterval",
        map="customFields",
    ),
    "statementjob": _of(
        string=(
            "billId csvStatementStatus jsonStatementStatus orgId presignedCsvStatementUrl "
            "presignedJsonStatementUrl statementJobStatus"
        ),
        boolean="includeCsvFormat",
        map="filters",
    ),
    "accountplan": _of(
        string=("accountId billEpoch childBillingMode code contractId endDate planGroupId planId productId startDate"),
        map="customFields",
    ),
    "aggregation": _of(
        string="accountingProductId aggregation code customSql meterId name rounding targetField unit",
        double="defaultValue quantityPerUnit",
        map="customFields",
        array="segmentedFields segments",
    ),
    # The wire has no table of alerts and meter groups: what its pages show of them.
    "alert": _of(
        string="description severity status type",
    ),
    "commitment": _of(
        string=(
            "accountCode accountId accountingProductId billEpoch billingPlanId childBillingMode "
            "commitmentFeeDescription commitmentUsageDescription contractId currency drawdownsAccountingProductId "
            "endDate feesAccountingProductId overageDescription startDate"
        ),
        double="amount amountFirstBill amountPrePaid amountSpent overageSurchargePercent",
        int="billingInterval billingOffset",
        boolean="commitmentFeeBillInAdvance separateOverageUsage",
        map="customFields",
        array="feeDates lineItemTypes productIds",
    ),
    "compoundaggregation": _of(
        string="accountingProductId calculation code name productId rounding unit",
        double="quantityPerUnit",
        boolean="evaluateNullAggregations",
        map="customFields",
        array="segments",
    ),
    "contract": _of(
        string="accountId billGroupingKeyId code description endDate name purchaseOrderNumber startDate",
        boolean="applyContractPeriodLimits",
        map="customFields",
        array="usageFilters",
    ),
    "counter": _of(
        string="code name productId unit",
    ),
    "counterpricing": _of(
        string="accountingProductId code counterId description endDate planId planTemplateId startDate",
        boolean=(
            "cumulative proRateAdjustmentCredit proRateAdjustmentDebit proRateRunningTotal runningTotalBillInAdvance"
        ),
        array="pricingBands",
    ),
    "creditreason": _of(
        string="code name",
        boolean="archived",
    ),
    "customfield": _of(
        map=(
            "account accountPlan aggregation compoundAggregation contract meter organization plan planTemplate product"
        ),
    ),
    "meter": _of(
        string="code groupId name productId",
        map="customFields",
        array="dataFields derivedFields",
    ),
    "metergroup": _of(
        string="code name",
    ),
    "organization": _of(
        string=(
            "addressLine1 addressLine2 addressLine3 addressLine4 billingContactUserId1 billingContactUserId2 "
            "billingContactUserId3 country customerId invoiceGeneralReference locality orgId organizationName "
            "postCode purchaseOrderNumber region shortName status taxId type"
        ),
    ),
    "organizationconfig": _of(
        string=(
            "autoApproveBillsGracePeriodUnit autoGenerateStatementMode billPrefix currency dayEpoch "
            "defaultStatementDefinitionId externalInvoiceDate monthEpoch timezone weekEpoch yearEpoch"
        ),
        double="scheduledBillInterval",
        int="autoApproveBillsGracePeriod daysBeforeBillDue scheduledBillOffset sequenceStartNumber",
        boolean=(
            "allowNegativeBalances allowOverlappingPlans commitmentFeeBillInAdvance consolidateBills "
            "minimumSpendBillInAdvance standingChargeBillInAdvance suppressedEmptyBills"
        ),
        array="creditApplicationOrder currencyConversions",
    ),
    "plan": _of(
        string=(
            "accountId code minimumSpendAccountingProductId minimumSpendDescription name planTemplateId productId "
            "standingChargeAccountingProductId standingChargeDescription"
        ),
        double="minimumSpend standingCharge",
        int="ordinal",
        boolean="bespoke minimumSpendBillInAdvance standingChargeBillInAdvance",
        map="customFields",
    ),
    "plangroup": _of(
        string=(
            "accountId code currency minimumSpendAccountingProductId minimumSpendDescription name "
            "standingChargeAccountingProductId standingChargeDescription"
        ),
        double="minimumSpend standingCharge",
        boolean="minimumSpendBillInAdvance standingChargeBillInAdvance",
        map="customFields",
    ),
    "plangrouplink": _of(
        string="planGroupId planId",
    ),
    "plantemplate": _of(
        string="billFrequency code currency minimumSpendDescription name productId standingChargeDescription",
        double="minimumSpend standingCharge",
        int="billFrequencyInterval ordinal standingChargeInterval standingChargeOffset",
        boolean="minimumSpendBillInAdvance standingChargeBillInAdvance",
        map="customFields",
    ),
    "pricing": _of(
        string=(
            "accountingProductId aggregationId aggregationType code compoundAggregationId description endDate "
            "minimumSpendDescription planId planTemplateId segmentString startDate type"
        ),
        double="minimumSpend",
        boolean="cumulative minimumSpendBillInAdvance tiersSpanPlan",
        map="segment",
        array="overagePricingBands pricingBands",
    ),
    "pricingband": _of(
        string="creditTypeId",
        double="fixedPrice lowerLimit unitPrice",
    ),
    "transactiontype": _of(
        string="code name",
        boolean="archived",
    ),
}
