"""docs/optimizers.md: what is told there besides figures is so, and its code runs."""

from __future__ import annotations

import re
from typing import Any

from parity_tests.optimizers_page import PAGE, formulas, rates, refused
from parity_tests.parity.optimizers.cases import CASES
from parity_tests.parity.optimizers.changes import CHANGES
from parity_tests.parity.optimizers.stock import STOCK


def test_the_page_tells_every_formula_schedule_refusal_and_row() -> None:
    page = PAGE.read_text()
    for table in (formulas(), rates(), refused()):
        assert table in page, "run python -m parity_tests.optimizers_page"
    for name in (case.name for case in (*CASES, *(stock.case for stock in STOCK))):
        assert f"\n| {name} | " in page, "run python -m parity_tests.optimizers_page"
    for change in CHANGES:
        assert f"\n| {change.case} | `{change.option}` | " in page, "run python -m parity_tests.optimizers_page"


def test_its_code_runs_and_carries_the_state_over() -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(block, names)
    assert names["read"].kind == "AdamW"
    assert names["scheduler"].last_epoch == 0
