"""What is a difference although it is within its limit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from parity.judging.passes.float32 import without_cap
from parity.judging.passes.inside import Inside
from parity.judging.where.parting import _forbid
from parity.recording import Key
from parity.verdict import Comparison, FirstDifference


def test_a_layer_that_computes_in_float32_undeclared_is_told_as_such_whatever_it_was_judged_by() -> None:
    agreed = Comparison(
        Key("forward", 0, "fc.output"), "float64", None, None, 0.0, 1e-12, None, "agree", *without_cap("float32")
    )
    findings: Any = SimpleNamespace(inside=Inside(), casts={"fc.output": ("jax",)}, comparisons=[agreed])
    _forbid(findings, {}, 0)
    (found,) = findings.comparisons
    assert found.outcome == "differ"
    said = "fc.output, float64: computed in float32 on the jax side, which the pair does not declare"
    assert str(FirstDifference(found, "")) == f"forward, step 0, tensor {said}"
