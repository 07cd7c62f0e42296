"""`check` in float64 alone: green for that, red for a mistake there, told that float32 was not asked."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from parity.command.report import closing_line
from parity.errors import NotCheckable
from parity.judging.check import check
from parity.recording import STAGES, Dtype
from parity.verdict import Verdict
from parity_tests.parity import tiny_torch
from parity_tests.parity.judging.test_check_modules import pair
from parity_tests.parity.tiny import planted, tiny

pytestmark = pytest.mark.usefixtures("compiled_quickly")


@cache
def right() -> Verdict:
    return check(tiny(1), dtypes=("float64",))


def test_float64_alone_is_green_in_every_stage_and_says_that_float32_was_not_asked() -> None:
    assert [(stage.stage, stage.outcome, stage.reason) for stage in right().stages] == [
        (s, "agree", "") for s in STAGES
    ]
    assert {found.dtype for found in right().comparisons} == {"float64"}
    assert [found.dtype for found in right().provenances] == ["float64", "float64"]
    assert right().not_asked == ["float32"]
    assert "tiny as far as asked" in str(closing_line([right()], 0))


def test_a_null_gradient_is_told_in_float64_alone_too() -> None:
    verdict = check(pair(), dtypes=("float64",))
    assert verdict.outcome == "agree"
    assert "null gradient: backward inner.bias" in verdict.listed


def test_a_mistake_in_float64_is_caught_there() -> None:
    wrong = planted("torch", 1, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.0303))
    verdict = check(wrong, dtypes=("float64",))
    assert verdict.first_difference is not None
    assert verdict.first_difference.comparison.key == ("update", 0, "inner.weight")


def test_a_mistake_in_float32_is_not_looked_for_unless_that_is_asked() -> None:
    def predict(model: Any, batch: Any) -> Any:
        output = tiny_torch.predict(model, batch)
        return output * float("nan") if output.dtype == torch.float32 else output

    wrong = planted("torch", 1, predict=predict)
    assert check(wrong, dtypes=("float64",)).outcome == "agree"
    assert check(wrong, dtypes=("float32", "float64")).outcome == "differ"


@pytest.mark.parametrize("dtypes", [(), ("float32",), ("float64", "float16"), "float64"], ids=str)
def test_float32_has_no_judge_without_float64(dtypes: tuple[Dtype, ...]) -> None:
    with pytest.raises(NotCheckable, match="expected float64, alone or with float32 and bfloat16, which are judged"):
        check(tiny(1), dtypes=dtypes)
