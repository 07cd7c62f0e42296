"""README.md says what the code says."""

from __future__ import annotations

import re

import pytest

from parity_tests.readme import CURRENT, README, ROOT, block, with_block


@pytest.mark.parametrize("name", CURRENT)
def test_a_block_is_what_the_code_says(name: str) -> None:
    assert block(README.read_text(), name) == CURRENT[name]().strip(), "run python -m parity_tests.readme"


def test_a_block_that_is_out_of_date_is_noticed() -> None:
    old = with_block(README.read_text(), "model", "class Classifier: ...")
    assert block(old, "model") != CURRENT["model"]().strip()


def test_a_missing_block_is_an_error() -> None:
    with pytest.raises(ValueError, match="no block 'model'"):
        block("nothing here", "model")


def test_the_measured_table_shows_three_agreeing_pairs() -> None:
    printed = block(README.read_text(), "parity")
    assert all(problem in printed for problem in ("line_fit", "mlp", "mnist"))
    assert "differ" not in re.sub(r"difference|differences", "", printed)


def test_every_linked_file_is_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README.read_text())
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
