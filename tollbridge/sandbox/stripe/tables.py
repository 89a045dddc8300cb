"""Which parameters each endpoint takes: the stand-in's own tables, written from Stripe's API reference.

Data only. `Inert` marks what Stripe takes and this stand-in refuses instead of ignoring it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tollbridge.sandbox.stripe.params import Arr, Bool, Inert, Int, Metadata, Number, Obj, Range, Text, Type

Table = Mapping[str, Type]

NO_INPUT: Table = {}
EXPAND: Table = {"expand": Arr(Text())}
METADATA: Table = {"metadata": Metadata()}
NEW_METADATA: Table = {"metadata": Metadata(clearable=False)}
PAGES: Table = {"ending_before": Text(), "limit": Int(), "starting_after": Text()}
LIST: Table = {**EXPAND, **PAGES}
SEARCH: Table = {**EXPAND, "limit": Int(), "page": Text(), "query": Text()}

ADDRESS = {part: Text() for part in ("city", "country", "line1", "line2", "postal_code", "state")}
CUSTOM_FIELDS = Arr(Obj({"name": Text(40), "value": Text(140)}, needs=("name", "value")), clearable=True)
TAX_BEHAVIOR = Text(None, choices=("exclusive", "inclusive", "unspecified"))
PERIOD = Obj({"end": Int(), "start": Int()}, needs=("end", "start"))
PRICING = Obj({"price": Text()})

# Customers

TAX_ID_TYPES = (
    "ad_nrt ae_trn al_tin am_tin ao_tin ar_cuit au_abn au_arn aw_tin az_tin ba_tin bb_tin bd_bin bf_ifu bg_uic "
    "bh_vat bj_ifu bo_tin br_cnpj br_cpf bs_tin by_tin ca_bn ca_gst_hst ca_pst_bc ca_pst_mb ca_pst_sk ca_qst "
    "cd_nif ch_uid ch_vat cl_tin cm_niu cn_tin co_nit cr_tin cv_nif de_stn do_rcn ec_ruc eg_tin es_cif et_tin "
    "eu_oss_vat eu_vat fo_vat gb_vat ge_vat gi_tin gn_nif hk_br hr_oib hu_tin ic_nif id_npwp il_vat in_gst "
    "is_vat it_cf jp_cn jp_rn jp_trn ke_pin kg_tin kh_tin kr_brn kz_bin la_tin li_uid li_vat lk_vat ma_vat "
    "md_vat me_pib mk_vat mr_nif mx_rfc my_frp my_itn my_sst ng_tin no_vat no_voec np_pan nz_gst om_vat pe_ruc "
    "ph_tin pl_nip py_ruc ro_tin rs_pib ru_inn ru_kpp sa_vat sg_gst sg_uen si_tin sn_ninea sr_fin sv_nit "
    "th_vat tj_tin tr_tin tw_vat tz_vat ua_vat ug_tin us_ein uy_ruc uz_tin uz_vat ve_rif vn_tin za_vat zm_tin "
    "zw_tin"
)
_CUSTOMER: Table = {
    **EXPAND,
    **METADATA,
    "address": Obj(ADDRESS, clearable=True),
    "balance": Int(),
    "business_name": Text(150, clearable=True),
    "cash_balance": Inert(),
    "description": Text(),
    "email": Text(512),
    "individual_name": Text(150, clearable=True),
    "invoice_prefix": Text(),
    "invoice_settings": Obj(
        {
            "custom_fields": CUSTOM_FIELDS,
            "default_payment_method": Inert(),
            "footer": Text(),
            "rendering_options": Inert(),
        }
    ),
    "name": Text(256),
    "next_invoice_sequence": Int(),
    "phone": Text(20),
    "preferred_locales": Arr(Text()),
    "shipping": Obj(
        {"address": Obj(ADDRESS), "name": Text(), "phone": Text()}, needs=("address", "name"), clearable=True
    ),
    "source": Inert(),
    "tax": Inert(),
    "tax_exempt": Text(None, choices=("", "exempt", "none", "reverse")),
}
CUSTOMER_CREATE: Table = {
    **_CUSTOMER,
    "payment_method": Inert(),
    "tax_id_data": Arr(
        Obj({"type": Text(choices=tuple(TAX_ID_TYPES.split())), "value": Text(None)}, needs=("type", "value"))
    ),
    "test_clock": Inert(),
}
CUSTOMER_UPDATE: Table = {
    **_CUSTOMER,
    "bank_account": Inert(),
    "card": Inert(),
    "default_alipay_account": Inert(),
    "default_bank_account": Inert(),
    "default_card": Inert(),
    "default_source": Inert(),
}
CUSTOMER_LIST: Table = {**LIST, "created": Range(), "email": Text(512), "test_clock": Inert()}
BALANCE_TRANSACTION_LIST: Table = {**LIST, "created": Range(), "invoice": Text()}

# Products and tax rates

_PRODUCT: Table = {
    **EXPAND,
    "active": Bool(),
    "marketing_features": Inert(),
    "name": Text(),
    "package_dimensions": Inert(),
    "shippable": Bool(),
    "statement_descriptor": Text(22),
}
PRODUCT_CREATE: Table = {
    **_PRODUCT,
    **NEW_METADATA,
    "default_price_data": Inert(),
    "description": Text(40000),
    "id": Text(),
    "images": Arr(Text(None)),
    "tax_code": Text(None),
    "unit_label": Text(12),
    "url": Text(),
}
PRODUCT_UPDATE: Table = {
    **_PRODUCT,
    **METADATA,
    "default_price": Inert(),
    "description": Text(40000, clearable=True),
    "images": Arr(Text(None), clearable=True),
    "tax_code": Text(None, clearable=True),
    "unit_label": Text(12, clearable=True),
    "url": Text(None, clearable=True),
}
PRODUCT_LIST: Table = {
    **LIST,
    "active": Bool(),
    "created": Range(),
    "ids": Arr(Text()),
    "shippable": Bool(),
    "url": Text(),
}

TAX_TYPES = (
    "amusement_tax communications_tax gst hst igst jct lease_tax mass_transit_parking_tax parking_tax pst qst "
    "retail_delivery_fee rst sales_tax service_tax vat"
)
_TAX_RATE: Table = {
    **EXPAND,
    "active": Bool(),
    "country": Text(),
    "description": Text(),
    "display_name": Text(50),
    "jurisdiction": Text(50),
    "state": Text(),
    "tax_type": Text(None, choices=tuple(TAX_TYPES.split())),
}
TAX_RATE_CREATE: Table = {**_TAX_RATE, **NEW_METADATA, "inclusive": Bool(), "percentage": Number()}
TAX_RATE_UPDATE: Table = {**_TAX_RATE, **METADATA}
TAX_RATE_LIST: Table = {**LIST, "active": Bool(), "created": Range(), "inclusive": Bool()}

# Invoices

_AUTOMATIC_TAX = Obj({"enabled": Bool(), "liability": Inert()}, needs=("enabled",))
_INVOICE: Table = {
    **EXPAND,
    **METADATA,
    "account_tax_ids": Inert(),
    "application_fee_amount": Inert(),
    "auto_advance": Bool(),
    "automatic_tax": _AUTOMATIC_TAX,
    "automatically_finalizes_at": Inert(),
    "collection_method": Text(None, choices=("charge_automatically", "send_invoice")),
    "custom_fields": CUSTOM_FIELDS,
    "days_until_due": Int(),
    "default_payment_method": Inert(),
    "description": Text(1500),
    "discounts": Inert(),
    "due_date": Int(),
    "footer": Text(5000),
    "issuer": Inert(),
    "on_behalf_of": Inert(),
    "payment_settings": Inert(),
    "rendering": Inert(),
    "shipping_cost": Inert(),
    "shipping_details": Inert(),
    "statement_descriptor": Text(22),
    "transfer_data": Inert(),
}
INVOICE_CREATE: Table = {
    **_INVOICE,
    "currency": Text(None),
    "customer": Text(),
    "customer_account": Inert(),
    "default_source": Inert(),
    "default_tax_rates": Arr(Text()),
    "effective_at": Int(),
    "from_invoice": Inert(),
    "number": Text(26),
    "pending_invoice_items_behavior": Text(None, choices=("exclude", "include")),
    "subscription": Inert(),
}
INVOICE_UPDATE: Table = {
    **_INVOICE,
    "default_source": Inert(),
    "default_tax_rates": Arr(Text(), clearable=True),
    "effective_at": Int(clearable=True),
    "number": Text(26, clearable=True),
}
INVOICE_LIST: Table = {
    **LIST,
    "collection_method": Text(None, choices=("charge_automatically", "send_invoice")),
    "created": Range(),
    "customer": Text(),
    "customer_account": Inert(),
    "due_date": Range(),
    "status": Text(None, choices=("draft", "open", "paid", "uncollectible", "void")),
    "subscription": Inert(),
}
INVOICE_FINALIZE: Table = {**EXPAND, "auto_advance": Bool()}
INVOICE_PAY: Table = {
    **EXPAND,
    "forgive": Inert(),
    "mandate": Inert(),
    "off_session": Inert(),
    "paid_out_of_band": Bool(),
    "payment_method": Inert(),
    "source": Inert(),
}

# Lines of invoices, and the invoice items under them

_PRODUCT_DATA = Obj(
    {
        "description": Text(40000),
        "images": Inert(),
        "metadata": Metadata(clearable=False),
        "name": Text(),
        "tax_code": Text(),
        "unit_label": Text(12),
    },
    needs=("name",),
)
_PRICE: Table = {
    "currency": Text(None),
    "product": Text(),
    "tax_behavior": TAX_BEHAVIOR,
    "unit_amount": Int(),
    "unit_amount_decimal": Number(places=12),
}
LINE: Table = {
    **METADATA,
    "amount": Int(),
    "description": Text(),
    "discountable": Bool(),
    "discounts": Inert(),
    "period": PERIOD,
    "price_data": Obj({**_PRICE, "product_data": _PRODUCT_DATA}, needs=("currency",)),
    "pricing": PRICING,
    "quantity": Int(),
    "quantity_decimal": Number(places=12),
    "tax_amounts": Inert(),
    "tax_rates": Arr(Text(), clearable=True),
}
LINE_UPDATE: Table = {**EXPAND, **LINE}
_LINES_OF_INVOICE: Table = {**EXPAND, "invoice_metadata": Metadata()}
ADD_LINES: Table = {**_LINES_OF_INVOICE, "lines": Arr(Obj({**LINE, "invoice_item": Text()}))}
UPDATE_LINES: Table = {**_LINES_OF_INVOICE, "lines": Arr(Obj({**LINE, "id": Text()}, needs=("id",)))}
REMOVE_LINES: Table = {
    **_LINES_OF_INVOICE,
    "lines": Arr(
        Obj({"behavior": Text(None, choices=("delete", "unassign")), "id": Text()}, needs=("behavior", "id")),
    ),
}

_ITEM: Table = {
    **EXPAND,
    **METADATA,
    "amount": Int(),
    "description": Text(),
    "discountable": Bool(),
    "discounts": Inert(),
    "period": PERIOD,
    "price_data": Obj(_PRICE, needs=("currency", "product")),
    "pricing": PRICING,
    "quantity": Int(),
    "quantity_decimal": Number(places=12),
    "tax_behavior": Inert(),
    "tax_code": Inert(),
    "unit_amount_decimal": Number(places=12),
}
ITEM_CREATE: Table = {
    **_ITEM,
    "currency": Text(None),
    "customer": Text(),
    "customer_account": Inert(),
    "invoice": Text(),
    "subscription": Inert(),
    "tax_rates": Arr(Text()),
}
ITEM_UPDATE: Table = {**_ITEM, "tax_rates": Arr(Text(), clearable=True)}
ITEM_LIST: Table = {
    **LIST,
    "created": Range(),
    "customer": Text(),
    "customer_account": Inert(),
    "invoice": Text(),
    "pending": Bool(),
}

# Credit notes

CREDIT_NOTE_CREATE: Table = {
    **EXPAND,
    **NEW_METADATA,
    "amount": Int(),
    "credit_amount": Int(),
    "effective_at": Int(),
    "email_type": Text(None, choices=("credit_note", "none")),
    "invoice": Text(),
    "lines": Arr(
        Obj(
            {
                "amount": Int(),
                "description": Text(),
                "invoice_line_item": Text(),
                "metadata": Metadata(clearable=False),
                "quantity": Int(),
                "tax_amounts": Inert(),
                "tax_rates": Inert(),
                "type": Text(None, choices=("custom_line_item", "invoice_line_item")),
                "unit_amount": Int(),
                "unit_amount_decimal": Number(places=12),
            },
            needs=("type",),
        )
    ),
    "memo": Text(),
    "out_of_band_amount": Int(),
    "reason": Text(None, choices=("duplicate", "fraudulent", "order_change", "product_unsatisfactory")),
    "refund_amount": Int(),
    "refunds": Arr(
        Obj(
            {
                "amount_refunded": Int(),
                "payment_record_refund": Inert(),
                "refund": Text(None),
                "type": Text(None, choices=("payment_record_refund", "refund")),
            }
        )
    ),
    "shipping_cost": Inert(),
}
CREDIT_NOTE_UPDATE: Table = {**EXPAND, **NEW_METADATA, "memo": Text()}
CREDIT_NOTE_LIST: Table = {
    **LIST,
    "created": Range(),
    "customer": Text(),
    "customer_account": Inert(),
    "invoice": Text(),
}

# Events

EVENT_LIST: Table = {
    **LIST,
    "created": Range(),
    "delivery_success": Inert(),
    "type": Text(),
    "types": Arr(Text()),
}
