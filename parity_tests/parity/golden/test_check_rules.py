"""Null gradients, chaos and flipped activations are judged beside a golden by the rules that hold where both run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch

import parity.golden.kept as kept_module
import parity.golden.make as make
from parity.golden.check import check_against, write_golden
from parity.judging.check import check
from parity.pair.pair import Pair
from parity.recording import FRAMEWORKS, OTHER, Framework
from parity_tests.parity import tiny_jax
from parity_tests.parity.golden.test_check import LONG, both_sides, place
from parity_tests.parity.judging.passes.test_flips import AT_THE_EDGE
from parity_tests.parity.judging.passes.test_judge import PAIR as SHIFTED
from parity_tests.parity.tiny import tiny

pytestmark = pytest.mark.usefixtures("compiled_once")


@both_sides
def test_null_gradients_are_judged_in_lockstep_with_the_recorded_side(
    tmp_path: Path, framework: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    for small in (kept_module.SMALL_BYTES, 0):
        monkeypatch.setattr(kept_module, "SMALL_BYTES", small)
        write_golden(SHIFTED, framework, tmp_path / "null.parity")
        found = check_against(SHIFTED, tmp_path / "null.parity")
        assert found.outcome == "agree", found.first_difference
        assert "null gradient: backward shift" in found.listed


def chaotic(wrong: Framework | None = None) -> Pair:
    """A pair that carries a unit in the last place to the front within two steps, whatever its gradients are."""

    def torch_update(model: Any, _: Any) -> Any:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.cos(1e8 * parameter) + 1e-6 * (wrong == "torch"))
        return model

    def jax_update(model: Any, _: Any) -> Any:
        return jax.tree.map(lambda w: jnp.cos(1e8 * w) + 1e-6 * (wrong == "jax"), model)

    alone = {"optimizer": None}
    return tiny(LONG, alone | {"update": torch_update}, alone | {"update": jax_update})


@both_sides
def test_what_is_chaotic_is_judged_in_lockstep_at_the_recorded_steps(
    tmp_path: Path, framework: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "SMALL_BYTES", 0)
    write_golden(chaotic(), framework, tmp_path / "chaos.parity")
    found = check_against(chaotic(), tmp_path / "chaos.parity")
    assert found.outcome != "differ", found.first_difference
    assert any("judged in lockstep from there on" in line for line in found.listed)
    weights = [c for c in found.comparisons if c.key[::2] == ("trajectory", "inner.weight") and c.dtype == "float64"]
    assert [c.key.step for c in weights] == [0, 1, 2, 10]
    assert max(c.difference for c in weights) < 1e-9
    verdict = check_against(chaotic(OTHER[framework]), tmp_path / "chaos.parity")
    assert place(verdict)[0].stage == "update"
    assert any(c.outcome == "differ" and c.key.step == 10 for c in verdict.comparisons)


@both_sides
def test_a_flip_is_judged_again_on_either_side(tmp_path: Path, framework: Framework) -> None:
    pair = tiny(1, AT_THE_EDGE, AT_THE_EDGE)
    write_golden(pair, framework, tmp_path / "edge.parity")
    found = check_against(pair, tmp_path / "edge.parity")
    assert found.outcome == "agree", found.first_difference
    flipped = {c.side for c in found.comparisons if "1 activation flipped at zero" in c.note}
    assert flipped == {c.side for c in check(pair).comparisons if "1 activation flipped at zero" in c.note}
    assert flipped == {None, *FRAMEWORKS} - {None}


def test_beside_a_flip_a_wrong_gradient_is_still_one(tmp_path: Path) -> None:
    def wrong_in_float32(model: Any, batch: Any) -> Any:
        right = tiny_jax.loss(model, batch)
        return right * (1 + 3e-4) if right.dtype == "float32" else right

    right, wrong = tiny(1, AT_THE_EDGE, AT_THE_EDGE), tiny(1, AT_THE_EDGE, AT_THE_EDGE | {"loss": wrong_in_float32})
    for recorded, framework in ((right, "torch"), (wrong, "jax")):
        write_golden(recorded, "torch" if framework == "torch" else "jax", tmp_path / "edge.parity")
        found = check_against(wrong, tmp_path / "edge.parity")
        assert (found.outcome, place(found)[1:]) == ("differ", ("float32", "jax"))
        assert {c.key.stage for c in found.comparisons if c.outcome == "differ"} >= {"loss", "backward"}


def test_a_recorded_flip_that_is_not_in_the_file_is_not_green(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = tiny(1, AT_THE_EDGE, AT_THE_EDGE)
    monkeypatch.setattr(make, "_flipped", lambda *_: None)
    write_golden(pair, "torch", tmp_path / "edge.parity")
    assert check_against(pair, tmp_path / "edge.parity").outcome != "agree"
