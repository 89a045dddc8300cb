"""The proof at its smallest; `make crash` runs it at any size."""

from __future__ import annotations

from pathlib import Path

from tests.crash.__main__ import prove


async def test_whatever_is_killed_every_bill_becomes_one_invoice_with_its_total(tmp_home: Path) -> None:
    line, verdict = await prove(tmp_home, bills=16, kills=6, seed=11)
    assert (line["duplicates"], line["lost"], line["wrong_total"]) == (0, 0, 0), verdict.told
    assert line["bills"] == 16
