"""What the stand-in does with customers, invoices, their lines and credit notes."""

from __future__ import annotations

import pytest

from tests.sandbox.conftest import Client


async def test_an_invoice_goes_from_draft_to_open_with_a_number_and_an_address(client: Client) -> None:
    draft = await client.with_lines(1000, -50)
    assert (draft.body["status"], draft.body["total"], draft.body["number"]) == ("draft", 950, None)
    done = await client.post(f"/v1/invoices/{draft.id}/finalize")
    assert (done.body["status"], done.body["amount_due"], done.body["amount_remaining"]) == ("open", 950, 950)
    assert done.body["number"]
    assert done.body["hosted_invoice_url"].startswith("https://")
    assert done.body["status_transitions"]["finalized_at"]
    again = await client.post(f"/v1/invoices/{draft.id}/finalize")
    assert (again.status, again.error["code"]) == (400, "invoice_not_editable")


async def test_a_finalised_invoice_keeps_its_money_and_lets_its_metadata_change(client: Client) -> None:
    invoice = await client.finalised(1000)
    for path, form in (
        ("", {"description": "new"}),
        ("/add_lines", {"lines[0][amount]": "1"}),
        (f"/lines/{invoice.body['lines']['data'][0]['id']}", {"amount": "1"}),
    ):
        refused = await client.post(f"/v1/invoices/{invoice.id}{path}", form)
        assert (refused.status, refused.error["code"]) == (400, "invoice_not_editable")
    refused = await client.delete(f"/v1/invoices/{invoice.id}")
    assert refused.error["code"] == "invoice_not_editable"
    edited = await client.post(f"/v1/invoices/{invoice.id}", {"metadata[bill]": "b1"})
    assert edited.body["metadata"] == {"bill": "b1"}
    assert edited.body["total"] == 1000


async def test_metadata_is_merged_and_an_empty_value_removes_its_key(client: Client) -> None:
    customer = await client.customer(**{"metadata[a]": "1", "metadata[b]": "2"})
    changed = await client.post(f"/v1/customers/{customer}", {"metadata[a]": "", "metadata[c]": "3"})
    assert changed.body["metadata"] == {"b": "2", "c": "3"}
    assert (await client.post(f"/v1/customers/{customer}", {"metadata": ""})).body["metadata"] == {}


async def test_only_a_draft_can_be_deleted_and_then_it_is_gone(client: Client) -> None:
    draft = await client.with_lines(1000)
    assert (await client.delete(f"/v1/invoices/{draft.id}")).body["deleted"] is True
    gone = await client.get(f"/v1/invoices/{draft.id}")
    assert (gone.status, gone.error["code"]) == (404, "resource_missing")
    assert (await client.books())["invoices"] == []


async def test_an_invoice_takes_100_lines_in_one_call_and_250_in_all(client: Client) -> None:
    draft = await client.draft()

    async def add(count: int) -> int:
        lines = {f"lines[{at}][amount]": "1" for at in range(count)}
        return (await client.post(f"/v1/invoices/{draft.id}/add_lines", lines)).status

    assert [await add(count) for count in (101, 100, 100, 51, 50, 1)] == [400, 200, 200, 400, 200, 400]
    invoice = await client.get(f"/v1/invoices/{draft.id}")
    assert invoice.body["total"] == 250
    assert len(invoice.body["lines"]["data"]) == 10
    assert invoice.body["lines"]["has_more"] is True


async def test_one_bad_line_leaves_none_of_its_call_behind(client: Client) -> None:
    draft = await client.draft()
    lines = {"lines[0][amount]": "5", "lines[1][amount]": "5", "lines[1][tax_rates][]": "txr_none"}
    refused = await client.post(f"/v1/invoices/{draft.id}/add_lines", lines)
    assert (refused.error["code"], refused.error["param"]) == ("resource_missing", "lines[1][tax_rates]")
    assert (await client.get(f"/v1/invoices/{draft.id}")).body["total"] == 0


async def test_a_unit_price_times_a_quantity_is_rounded_once(client: Client) -> None:
    draft = await client.draft()
    line = {"invoice": draft.id, "unit_amount_decimal": "0.0125", "quantity": "1000"}
    assert (await client.post("/v1/invoiceitems", line)).body["amount"] == 13
    both = await client.post("/v1/invoiceitems", {"invoice": draft.id, "amount": "5", "quantity": "2"})
    assert both.status == 400


async def test_pending_items_stay_out_unless_they_are_asked_for(client: Client) -> None:
    customer = await client.customer()
    await client.post("/v1/invoiceitems", {"customer": customer, "amount": "700", "currency": "eur"})
    assert (await client.draft(customer)).body["total"] == 0
    assert (await client.draft(customer, pending_invoice_items_behavior="include")).body["total"] == 700
    assert (await client.get("/v1/invoiceitems", {"pending": "true"})).body["data"] == []


async def test_a_mailed_invoice_needs_terms_and_is_due_that_many_days_after_it_is_finalised(client: Client) -> None:
    bare = await client.draft(collection_method="send_invoice")
    assert bare.error["param"] == "days_until_due"
    useless = await client.draft(days_until_due="3")
    assert useless.error["param"] == "days_until_due"
    past = await client.draft(collection_method="send_invoice", due_date="1665417599")
    assert past.error["param"] == "due_date"
    draft = await client.with_lines(1000, collection_method="send_invoice", days_until_due="30")
    await client.forward(86_400)
    done = (await client.post(f"/v1/invoices/{draft.id}/finalize")).body
    assert done["due_date"] == done["status_transitions"]["finalized_at"] + 30 * 86_400


async def test_sending_needs_an_email_address_and_finalises_a_draft(client: Client) -> None:
    customer = (await client.post("/v1/customers", {"name": "No mail"})).id
    terms = {"collection_method": "send_invoice", "days_until_due": "30"}
    draft = await client.with_lines(1000, customer=customer, **terms)
    refused = await client.post(f"/v1/invoices/{draft.id}/send")
    assert (refused.status, refused.error["type"]) == (400, "invalid_request_error")
    assert refused.error["message"].startswith("Missing email")
    assert (await client.get(f"/v1/invoices/{draft.id}")).body["status"] == "draft"
    await client.post(f"/v1/customers/{customer}", {"email": "now@example.com"})
    assert (await client.post(f"/v1/invoices/{draft.id}/send")).body["status"] == "open"
    assert (await client.books())["invoices"][0]["emails"] == 1


async def test_an_invoice_that_is_charged_automatically_cannot_be_sent(client: Client) -> None:
    invoice = await client.finalised(1000)
    assert (await client.post(f"/v1/invoices/{invoice.id}/send")).status == 400


async def test_a_zero_total_is_paid_when_it_is_finalised(client: Client) -> None:
    assert (await client.finalised(500, -500)).body["status"] == "paid"


async def test_less_than_the_minimum_charge_is_paid_and_moves_to_the_next_invoice(client: Client) -> None:
    customer = await client.customer()
    small = (await client.finalised(49, customer=customer)).body
    assert (small["status"], small["total"], small["amount_due"], small["ending_balance"]) == ("paid", 49, 0, 49)
    assert (await client.get(f"/v1/customers/{customer}")).body["balance"] == 49
    nexts = (await client.finalised(1000, customer=customer)).body
    assert (nexts["total"], nexts["starting_balance"], nexts["amount_due"]) == (1000, 49, 1049)
    assert (await client.get(f"/v1/customers/{customer}")).body["balance"] == 0


async def test_a_negative_total_becomes_credit_of_the_customer(client: Client) -> None:
    customer = await client.customer()
    credit = (await client.finalised(-300, customer=customer)).body
    assert (credit["status"], credit["total"], credit["amount_due"]) == ("paid", -300, 0)
    nexts = (await client.finalised(1000, customer=customer)).body
    assert (nexts["total"], nexts["amount_due"], nexts["ending_balance"]) == (1000, 700, 0)


async def test_a_voided_invoice_gives_back_the_credit_that_it_used(client: Client) -> None:
    customer = await client.customer()
    await client.finalised(-300, customer=customer)
    invoice = await client.finalised(1000, customer=customer)
    assert (await client.post(f"/v1/invoices/{invoice.id}/void")).body["status"] == "void"
    assert (await client.get(f"/v1/customers/{customer}")).body["invoice_credit_balance"]["eur"] == -300


@pytest.mark.parametrize(
    ("currency", "amount", "finalises"),
    [("jpy", 7, False), ("jpy", 50, True), ("kwd", 5120, True), ("kwd", 5123, False), ("mga", 3, True)],
)
async def test_totals_are_whole_payable_steps_of_the_currency(
    client: Client, currency: str, amount: int, finalises: bool
) -> None:
    invoice = await client.finalised(amount, currency=currency)
    if currency == "jpy" and not finalises:
        assert (invoice.body["status"], invoice.body["amount_due"]) == ("paid", 0)
    elif finalises:
        assert invoice.body["status"] == "open"
    else:
        assert invoice.error["code"] == "invalid_charge_amount"


async def test_an_unknown_currency_is_refused(client: Client) -> None:
    assert (await client.draft(currency="xxx")).error["param"] == "currency"


async def test_tax_rates_add_to_the_total_or_are_inside_it(client: Client) -> None:
    async def total(inclusive: str) -> tuple[int, int]:
        form = {"display_name": "VAT", "percentage": "19", "inclusive": inclusive}
        rate = (await client.post("/v1/tax_rates", form)).id
        body = (await client.with_lines(119, 119, **{"default_tax_rates[]": rate})).body
        return body["total"], body["total_excluding_tax"]

    assert await total("false") == (284, 238)
    assert await total("true") == (238, 200)


async def test_automatic_tax_adds_ten_percent_where_the_country_is_known(client: Client) -> None:
    here = await client.customer(**{"address[country]": "FR"})
    taxed = (await client.finalised(1000, customer=here, **{"automatic_tax[enabled]": "true"})).body
    assert (taxed["total"], taxed["total_excluding_tax"], taxed["subtotal"]) == (1100, 1000, 1000)
    nowhere = await client.finalised(1000, **{"automatic_tax[enabled]": "true"})
    assert nowhere.error["code"] == "customer_tax_location_invalid"


async def test_invoice_numbers_are_unique_and_at_most_26_characters(client: Client) -> None:
    assert (await client.draft(number="A-1")).body["number"] == "A-1"
    assert (await client.draft(number="A-1")).error["param"] == "number"
    assert (await client.draft(number="x" * 27)).status == 400


async def test_a_deleted_customer_can_be_read_and_not_used(client: Client) -> None:
    customer = await client.customer()
    await client.delete(f"/v1/customers/{customer}")
    read = await client.get(f"/v1/customers/{customer}")
    assert (read.status, read.body["deleted"]) == (200, True)
    changed = await client.post(f"/v1/customers/{customer}", {"name": "B"})
    assert (changed.status, changed.error["code"]) == (404, "resource_missing")
    billed = await client.draft(customer)
    assert (billed.status, billed.error["code"], billed.error["param"]) == (400, "resource_missing", "customer")


async def test_lists_are_newest_first_filtered_and_paged_by_cursor(client: Client) -> None:
    customer = await client.customer()
    ids = [(await client.draft(customer)).id for _ in range(5)]
    await client.draft()
    newest = list(reversed(ids))

    async def page(**form: str) -> tuple[list[str], bool]:
        body = (await client.get("/v1/invoices", {"customer": customer, "limit": "2", **form})).body
        return [each["id"] for each in body["data"]], body["has_more"]

    assert await page() == (newest[:2], True)
    assert await page(starting_after=newest[1]) == (newest[2:4], True)
    assert await page(starting_after=newest[3]) == (newest[4:], False)
    assert await page(ending_before=newest[3]) == (newest[1:3], True)
    assert await page(status="open") == ([], False)
    await client.post(f"/v1/invoices/{newest[1]}/finalize")
    assert await page(status="draft", starting_after=newest[1]) == (newest[2:4], True)
    later = {"created[gte]": str((await client.books())["invoices"][0]["created"] + 3600)}
    assert await page(**later) == ([], False)
    unknown = await client.get("/v1/invoices", {"starting_after": "in_none"})
    assert unknown.error["param"] == "starting_after"


async def test_customers_are_listed_by_email(client: Client) -> None:
    wanted = await client.customer(email="b@example.com")
    await client.customer()
    listed = (await client.get("/v1/customers", {"email": "b@example.com"})).body["data"]
    assert [each["id"] for each in listed] == [wanted]


async def test_search_lags_behind_and_finds_by_metadata_and_email(client: Client) -> None:
    wanted = await client.customer(**{"metadata[billing_account_id]": "it's", "email": "b@example.com"})
    await client.customer(**{"metadata[billing_account_id]": "other"})

    async def found(query: str) -> list[str]:
        body = (await client.get("/v1/customers/search", {"query": query})).body
        return [each["id"] for each in body["data"]]

    by_metadata = r"metadata['billing_account_id']:'it\'s'"
    assert await found(by_metadata) == []
    await client.forward(3)
    assert await found(by_metadata) == [wanted]
    assert await found(f"{by_metadata} AND email:'b@example.com'") == [wanted]
    assert await found(f"{by_metadata} AND email:'a@example.com'") == []
    assert await found("-email:'b@example.com' AND metadata['none']:null") != [wanted]
    await client.post(f"/v1/customers/{wanted}", {"metadata[billing_account_id]": "new"})
    assert await found(by_metadata) == [wanted]


async def test_search_results_come_in_pages(client: Client) -> None:
    for _ in range(3):
        await client.draft(**{"metadata[m]": "1"})
    await client.forward(3)
    first = (await client.get("/v1/invoices/search", {"query": "metadata['m']:'1'", "limit": "2"})).body
    assert first["has_more"] is True
    more = {"query": "metadata['m']:'1'", "limit": "2", "page": first["next_page"]}
    second = (await client.get("/v1/invoices/search", more)).body
    assert (len(first["data"]), len(second["data"]), second["has_more"]) == (2, 1, False)


@pytest.mark.parametrize(
    "query", ["", "name", "nick:'a'", "metadata:'a'", "email:'a' AND name:'b' OR name:'c'", "email:'a"]
)
async def test_a_search_that_cannot_be_read_is_refused(client: Client, query: str) -> None:
    assert (await client.get("/v1/customers/search", {"query": query})).status == 400


async def test_an_open_invoice_is_paid_out_of_band_or_by_credit_notes(client: Client) -> None:
    first = await client.finalised(1000)
    paid = (await client.post(f"/v1/invoices/{first.id}/pay", {"paid_out_of_band": "true"})).body
    assert (paid["status"], paid["amount_paid"], paid["amount_remaining"]) == ("paid", 1000, 0)
    second = await client.finalised(1000)
    await client.post("/v1/credit_notes", {"invoice": second.id, "amount": "400"})
    assert (await client.get(f"/v1/invoices/{second.id}")).body["amount_remaining"] == 600
    await client.post("/v1/credit_notes", {"invoice": second.id, "amount": "600"})
    assert (await client.get(f"/v1/invoices/{second.id}")).body["status"] == "paid"
    assert (await client.post("/v1/credit_notes", {"invoice": second.id, "amount": "1"})).status == 400


async def test_a_credit_note_on_a_paid_invoice_must_say_where_the_money_goes(client: Client) -> None:
    customer = await client.customer()
    invoice = await client.finalised(1000, customer=customer)
    await client.post(f"/v1/invoices/{invoice.id}/pay", {"paid_out_of_band": "true"})
    form = {"invoice": invoice.id, "amount": "400"}
    assert (await client.post("/v1/credit_notes", form)).error["param"] == "credit_amount"
    note = await client.post("/v1/credit_notes", {**form, "credit_amount": "300", "out_of_band_amount": "100"})
    assert (note.body["type"], note.body["post_payment_amount"]) == ("post_payment", 400)
    assert (await client.get(f"/v1/customers/{customer}")).body["balance"] == -300


async def test_what_was_paid_at_stripe_can_be_refunded_once(client: Client) -> None:
    invoice = await client.finalised(1000)
    assert await client.admin("POST", "payments", {"invoice": invoice.id}) == {"invoice": invoice.id, "status": "paid"}
    form = {"invoice": invoice.id, "amount": "400"}
    note = await client.post("/v1/credit_notes", {**form, "refund_amount": "300", "credit_amount": "100"})
    [refund] = note.body["refunds"]
    assert (refund["amount_refunded"], refund["type"]) == (300, "refund")
    assert [each["amount"] for each in (await client.books())["refunds"]] == [300]
    again = await client.post("/v1/credit_notes", {"invoice": invoice.id, "amount": "600", "refund_amount": "600"})
    assert again.status == 200
    assert (await client.get(f"/v1/invoices/{invoice.id}")).body["post_payment_credit_notes_amount"] == 1000


async def test_no_more_is_refunded_than_was_paid_at_stripe(client: Client) -> None:
    invoice = await client.finalised(1000)
    await client.post("/v1/credit_notes", {"invoice": invoice.id, "amount": "400"})
    await client.admin("POST", "payments", {"invoice": invoice.id})
    form = {"invoice": invoice.id, "amount": "601", "refund_amount": "601"}
    assert (await client.post("/v1/credit_notes", form)).error["param"] == "amount"
    outside = await client.finalised(1000)
    await client.post(f"/v1/invoices/{outside.id}/pay", {"paid_out_of_band": "true"})
    form = {"invoice": outside.id, "amount": "1", "refund_amount": "1"}
    assert (await client.post("/v1/credit_notes", form)).error["param"] == "refund_amount"
    assert "error" in await client.admin("POST", "payments", {"invoice": outside.id})


async def test_a_credit_note_takes_up_a_refund_that_was_made_before(client: Client) -> None:
    invoice = await client.finalised(1000)
    await client.admin("POST", "payments", {"invoice": invoice.id})
    made = await client.admin("POST", "refunds", {"invoice": invoice.id, "amount": 700})
    linked = {"refunds[0][refund]": made["refund"], "refunds[0][amount_refunded]": "500"}
    note = await client.post("/v1/credit_notes", {"invoice": invoice.id, "amount": "500", **linked})
    assert note.body["refunds"][0]["refund"] == made["refund"]
    assert [each["amount"] for each in (await client.books())["refunds"]] == [700]
    more = await client.post("/v1/credit_notes", {"invoice": invoice.id, "amount": "500", **linked})
    assert more.error["param"] == "refunds[0][amount_refunded]"
    linked = {"refunds[0][refund]": "re_none"}
    none = await client.post("/v1/credit_notes", {"invoice": invoice.id, "amount": "500", **linked})
    assert none.error["code"] == "resource_missing"
    assert "error" in await client.admin("POST", "refunds", {"invoice": invoice.id, "amount": 301})


async def test_a_revoked_key_opens_nothing_and_says_that_it_expired(client: Client) -> None:
    await client.admin("POST", "keys", {"key": "sk_test_another1", "account": client.running.account})
    assert (await client.get("/v1/account", key="sk_test_another1")).status == 200
    await client.admin("DELETE", "keys", {"key": "sk_test_another1"})
    refused = await client.get("/v1/account", key="sk_test_another1")
    assert (refused.status, refused.error["code"]) == (401, "api_key_expired")
    assert (await client.get("/v1/account")).status == 200


async def test_expand_replaces_an_id_by_its_object(client: Client) -> None:
    invoice = await client.draft()
    full = await client.get(f"/v1/invoices/{invoice.id}", {"expand[]": "customer"})
    assert full.body["customer"]["email"] == "ada@example.com"
    listed = await client.get("/v1/invoices", {"expand[]": "data.customer"})
    assert listed.body["data"][0]["customer"]["name"] == "Ada"
    assert (await client.get(f"/v1/invoices/{invoice.id}", {"expand[]": "total"})).status == 400
