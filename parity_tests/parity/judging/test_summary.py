"""What a difference looks like is told beside it, and never costs it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from parity.judging import summary
from parity.judging.check import check
from parity.verdict import Verdict
from parity_tests.parity import tiny_jax
from parity_tests.parity.tiny import planted

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def scoring(factor: float) -> Verdict:
    """Of a JAX side whose predictions are so many times as large."""

    def predict(model: Any, batch: dict[str, Any]) -> Any:
        return tiny_jax.predict(model, batch) * factor

    return check(planted("jax", steps=1, predict=predict), dtypes=("float64",))


def looks(verdict: Verdict) -> str:
    assert verdict.outcome == "differ"
    assert verdict.first_difference is not None
    return verdict.first_difference.looks_like


@pytest.mark.parametrize("factor", [1e-300, 5e-324, 1e300])
def test_a_difference_of_any_size_is_told(factor: float) -> None:
    with np.errstate(all="raise"):
        assert looks(scoring(factor)).startswith("on the jax side it is ")


@pytest.mark.parametrize("error", [OverflowError, ZeroDivisionError, FloatingPointError, np.linalg.LinAlgError])
def test_a_hint_that_cannot_be_computed_leaves_the_verdict(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> str:
        raise error("not this one")

    monkeypatch.setattr(summary, "looks_like", failing)
    assert looks(scoring(2.0)) == ""


def test_a_number_that_no_hint_can_make_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def dividing(*_: object) -> str:
        return str(np.float64(1.0) / np.float64(0.0))

    monkeypatch.setattr(summary, "looks_like", dividing)
    assert looks(scoring(2.0)) == "inf"


def test_a_hint_that_is_broken_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise KeyError("no such key")

    monkeypatch.setattr(summary, "looks_like", broken)
    with pytest.raises(KeyError, match="no such key"):
        scoring(2.0)


@pytest.mark.parametrize("differs", [True, False])
def test_layers_paired_by_order_and_doubts_are_told_where_something_differs_and_only_there(differs: bool) -> None:
    pairs = tuple(f"layers.{index} and dense.{index}" for index in range(summary.BY_ORDER + 1))
    side = SimpleNamespace(float64=SimpleNamespace(weight_map=SimpleNamespace(by_order=pairs), doubts=["a doubt"]))
    findings: Any = SimpleNamespace(running={"jax": side}, differs=differs)
    told = [f"paired by order only: {', '.join(pairs[:-1])} and 1 more", "a doubt"]
    assert summary._doubts(findings) == (told if differs else [])
    findings.running = {}
    assert summary._doubts(findings) == []
