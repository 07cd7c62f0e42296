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
    assert "inconclusive" not in printed
    assert re.search(r"^AGREE: .* \(3 of 3 pairs, \d+ s\)$", printed, re.MULTILINE)


def test_the_measured_scores_are_what_the_seeds_print_and_agree() -> None:
    printed = block(README.read_text(), "seeds")
    runs, _, rest = printed.removeprefix("```\n").partition("\n")
    assert re.fullmatch(r"mnist  64 runs a side, cpu: torch seeds 0 to 63, JAX 64 to 127", runs)
    figures = r"\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +[+-]\d\.\d{4} +[+-]\d\.\d{4} +[+-]\d\.\d{4} +agree"
    for score in ("notebook", "test"):
        assert re.search(rf"^{score} +{figures}$", rest, re.MULTILINE), score
    reached = re.search(r"0\.978: (\d+) of 64 torch runs reach it, .*; (\d+) of 64 JAX runs reach it", rest)
    assert reached
    # "about one run in twelve", as the sentence above the block has it
    assert 128 / sum(map(int, reached.groups())) == pytest.approx(12, abs=0.5)
    assert re.search(r"^AGREE: equivalent scores in PyTorch and in JAX: mnist \(\d+ s\)$", rest, re.MULTILINE)


def test_every_linked_file_is_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README.read_text())
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
