"""`check` is never green where something could not be compared, and says in one line what could not be checked."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
import torch

from parity.errors import MissingFramework, NotCheckable
from parity.golden.check import write_golden
from parity.jax_side.live import JaxSide
from parity.judging.check import check
from parity.recording import FRAMEWORKS, Arrays, Framework, Provenance
from parity.verdict import Comparison, Verdict
from parity_tests.parity import tiny_jax, tiny_torch
from parity_tests.parity.tiny import loops, planted, tiny
from parity_tests.parity.tiny_draws import batches, draw_parameters, scored

pytestmark = pytest.mark.usefixtures("compiled_quickly")

MODULES: dict[Framework, Any] = {"torch": tiny_torch, "jax": tiny_jax}
both_sides = pytest.mark.parametrize("framework", FRAMEWORKS)


def first(verdict: Verdict) -> Comparison:
    assert verdict.outcome == "differ"
    assert verdict.first_difference is not None
    return verdict.first_difference.comparison


def reasons(verdict: Verdict) -> dict[str, str]:
    return {stage.stage: stage.reason for stage in verdict.stages if stage.outcome == "inconclusive"}


# What cannot be compared: each fault on a scored batch of its own, so that one check shows them all


def in_float32(output: Any) -> Any:
    return output.float() if isinstance(output, torch.Tensor) else output.astype("float32")


FAULTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "NaN": (lambda output: output * float("nan"), "NaN on the {} side"),
    "infinity": (lambda output: abs(output) + float("inf"), "infinity on the {} side"),
    "float32": (in_float32, "float32 on the {} side of a float64 run"),
    "an example less": (lambda output: output[1:], "(31, 4)"),
    "one axis": (lambda output: output.reshape(-1), "(128,)"),
    "no numbers": (lambda output: output > 0, "{} has bool"),
}


def predicting(framework: Framework, *others: str) -> dict[str, Any]:
    """Parts that score on `others`, and on a batch for each fault, where they predict with that fault."""
    right = MODULES[framework].predict

    def predict(model: Any, batch: dict[str, Any]) -> Any:
        output = right(model, batch)
        return next((fault(output) for name, (fault, _) in FAULTS.items() if name in batch), output)

    return {"predict": predict, "scored": lambda seed: on_batches(seed, *FAULTS, *others)}


def on_batches(seed: int, *names: str) -> dict[str, Any]:
    (batch,) = scored(seed).values()
    return {name: batch | {name: np.zeros(1)} for name in names}


@cache
def faulty(*sides: Framework) -> Verdict:
    """Of a pair whose side or sides predict with every fault."""
    right = {"scored": lambda seed: on_batches(seed, *FAULTS, "right")}
    torch, jax = (predicting(side, f"only {side}", "right") if side in sides else right for side in FRAMEWORKS)
    return check(replace(tiny(1, torch, jax), labels=None))


def outputs(verdict: Verdict, name: str) -> Comparison:
    (found,) = (c for c in verdict.comparisons if c.key == ("score", 0, f"{name}.output"))
    return found


@pytest.mark.parametrize("fault", FAULTS)
@both_sides
def test_an_output_that_cannot_be_compared_differs(framework: Framework, fault: str) -> None:
    found = outputs(faulty(framework), fault)
    assert (found.outcome, found.difference) == ("differ", float("inf"))
    note = FAULTS[fault][1]
    assert note.format(framework) in found.note or note.format("jax").removeprefix("jax has ") in found.note
    assert outputs(faulty(framework), "right").outcome == "agree"


@pytest.mark.parametrize("fault", ["NaN", "infinity", "float32"])
def test_it_differs_where_both_sides_have_the_same_fault_too(fault: str) -> None:
    assert outputs(faulty("torch", "jax"), fault).outcome == "differ"


@both_sides
def test_what_one_side_alone_scores_differs(framework: Framework) -> None:
    other = {"torch": "jax", "jax": "torch"}[framework]
    assert outputs(faulty(framework), f"only {framework}").note == f"missing on the {other} side"


# The same in the other stages


def changed_batches(change: Callable[[Arrays], Arrays]) -> dict[str, Any]:
    return {"batches": lambda seed, steps: [change(batch) for batch in batches(seed, steps)]}


@pytest.mark.parametrize(
    ("framework", "change", "tensor"),
    [
        ("torch", lambda batch: batch | {"extra": np.ones(1)}, "extra"),
        ("jax", lambda batch: {name: a.astype("f4") if name == "inputs" else a for name, a in batch.items()}, "inputs"),
        ("torch", lambda batch: {name: array[1:] for name, array in batch.items()}, "inputs"),
        ("jax", lambda batch: batch | {"inputs": np.nextafter(batch["inputs"], 9)}, "inputs"),
    ],
    ids=["an entry on one side only", "rounded to float32", "another shape", "one unit in the last place"],
)
def test_unequal_data_differ(framework: Framework, change: Callable[[Arrays], Arrays], tensor: str) -> None:
    found = first(check(planted(framework, steps=1, **changed_batches(change))))
    assert (found.key, found.dtype) == (("data", 0, tensor), "float64")


def test_initial_parameters_one_unit_apart_differ() -> None:
    def apart(seed: int) -> Arrays:
        return {name: np.nextafter(array, 9) for name, array in draw_parameters(seed).items()}

    found = first(check(planted("jax", steps=1, parameters=apart)))
    assert (found.key, found.note) == (("init", 0, "inner.weight"), "not bit for bit the same")


def test_an_optimizer_state_that_one_side_has_not_differs() -> None:
    verdict = check(planted("jax", steps=1, optimizer=lambda: optax.sgd(0.03)))
    assert first(verdict).key.stage == "update"
    missing = next(c for c in verdict.comparisons if c.key == ("update", 0, "exp_avg.inner.weight"))
    assert (missing.outcome, missing.note) == ("differ", "missing on the jax side")


def test_what_is_nan_in_float32_only_differs_there() -> None:
    def predict(model: Any, batch: Any) -> Any:
        output = tiny_torch.predict(model, batch)
        return output * float("nan") if output.dtype == torch.float32 else output

    found = first(check(planted("torch", steps=1, predict=predict)))
    assert (found.key, found.dtype, found.side) == (("forward", 0, "output"), "float32", "torch")
    assert found.note == "NaN on the torch side"


# Inconclusive


def test_parameters_that_do_not_move_and_stages_without_tensors_are_not_green() -> None:
    torch_side = {"optimizer": lambda parameters: torch.optim.Adam(parameters, lr=0.0), "scored": lambda seed: {}}
    jax_side = {"optimizer": lambda: optax.adam(0.0), "scored": lambda seed: {}}
    verdict = check(tiny(1, torch_side, jax_side))
    assert verdict.outcome == "inconclusive"
    assert verdict.first_difference is None
    assert reasons(verdict)["trajectory"] == f"parameters that did not move: {', '.join(draw_parameters(0))}"
    assert reasons(verdict)["score"] == "nothing was compared in float64"


def test_unequal_precision_is_not_green(monkeypatch: pytest.MonkeyPatch) -> None:
    right = JaxSide.provenance

    def provenance(side: JaxSide) -> Provenance:
        return replace(right(side), precision="tf32")

    monkeypatch.setattr(JaxSide, "provenance", provenance)
    verdict = check(tiny(1))
    assert verdict.outcome == "inconclusive"
    expected = "unequal conditions in float64: precision is float32 on the torch side, tf32 on the jax side"
    assert set(reasons(verdict).values()) == {expected}


def lowering_torch(model: Any, batch: Any) -> Any:
    torch.set_float32_matmul_precision("medium")
    return tiny_torch.loss(model, batch)


def lowering_jax(model: Any, batch: Any) -> Any:
    jax.config.update("jax_default_matmul_precision", "bfloat16")  # type: ignore[no-untyped-call]
    return tiny_jax.loss(model, batch)


def in_64_bits(model: Any, batch: Any) -> Any:
    jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
    return tiny_jax.loss(model, batch)


LOWERING: dict[str, tuple[Framework, Callable[[Any, Any], Any], str]] = {
    "torch, precision": ("torch", lowering_torch, "torch.backends.cuda.matmul.fp32_precision is 'tf32'"),
    "jax, precision": ("jax", lowering_jax, "jax_default_matmul_precision is 'bfloat16'"),
    "jax, x64": ("jax", in_64_bits, "jax_enable_x64 is True"),
}


@pytest.mark.parametrize("name", LOWERING)
def test_a_side_that_changes_how_it_computes_is_not_green(name: str) -> None:
    framework, loss, setting = LOWERING[name]
    verdict = check(planted(framework, steps=1, loss=loss))
    assert verdict.outcome == "inconclusive"
    (told,) = set(reasons(verdict).values())
    assert told.startswith(f"not comparable: the {framework} side changed how it computes while it ran: {setting}")
    # That it does not come to whatever runs next, the test of every test's settings tells.
    assert check(tiny(1)).outcome == "agree"


@pytest.mark.parametrize(
    ("framework", "setting"),
    [
        ("torch", "torch.set_float32_matmul_precision('high')"),
        ("jax", "jax.config.update('jax_default_matmul_precision', 'bfloat16')"),
        ("jax", "jax.config.update('jax_enable_x64', True)"),
    ],
)
def test_what_a_module_sets_when_it_is_imported_is_no_change(
    framework: Framework, setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"setting_{framework}_{len(setting)}"
    lines = f"import {framework}", setting, f"from parity_tests.parity.tiny_{framework} import loss"
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    verdict = check(planted(framework, steps=1, loss=f"{name}:loss"))
    assert verdict.outcome == "agree", reasons(verdict)


@pytest.mark.parametrize("name", ["torch, precision", "jax, precision"])
def test_a_side_that_changes_how_it_computes_is_not_recorded(name: str, tmp_path: Path) -> None:
    framework, loss, setting = LOWERING[name]
    with pytest.raises(NotCheckable, match=f"while it was recorded: {re.escape(setting)}"):
        write_golden(planted(framework, steps=1, loss=loss), framework, tmp_path / "tiny.parity")


# What cannot be checked


def raising(*_: object, **__: object) -> None:
    raise ValueError("not today\nnor tomorrow")


@pytest.mark.parametrize(
    "part", ["parameters", "model", "arrays", "batches", "predict", "loss", "scored", "optimizer", "train", "missing"]
)
@both_sides
def test_a_part_that_raises_is_told_in_one_line(framework: Framework, part: str) -> None:
    with pytest.raises(NotCheckable) as raised:
        check(planted(framework, **(loops(framework) | {part: raising})))
    assert str(raised.value) == f"the {framework} side's {part} failed: ValueError: not today"


def test_an_update_by_hand_that_raises_is_told_in_one_line() -> None:
    with pytest.raises(NotCheckable, match="the torch side's update failed: ValueError: not today"):
        check(planted("torch", optimizer=None, update=raising))


@both_sides
def test_a_missing_framework_is_told(framework: Framework, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"torch": "torch", "jax": "optax"}[framework]
    monkeypatch.delitem(sys.modules, f"parity.{framework}_side.live")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingFramework, match=f"the {framework} side needs {package}, which is not installed"):
        check(tiny())


def test_a_device_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotCheckable, match="use --device cpu"):
        check(tiny(), device="gpu")
