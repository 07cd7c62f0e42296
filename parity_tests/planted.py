"""Mistakes that people make when they port a network, each planted into one side of a right pair.

A `Mistake` says what the check must find: the stage, step and tensor of the first difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parity.pair.importing import resolve
from parity.pair.pair import Pair
from parity.recording import Arrays, Batch, Framework, State
from parity.sides.live import live_side
from parity_tests import planted_jax, planted_torch

ALL = ("line_fit", "mlp", "mnist")
NETS = ("mlp", "mnist")
MNIST = ("mnist",)
Change = Callable[[Pair, Framework], dict[str, Any]]
"""(the right pair, the side to plant in) -> the wrong parts of that side."""


@dataclass(frozen=True)
class Mistake:
    """One mistake and where it must be caught.

    Attributes:
        name: what is wrong, as a person would say it.
        sides: where it is planted.
        change: the wrong parts.
        stage: where the first difference must be found; empty where the check must be inconclusive instead.
        tensor: the tensor there; "*" stands for the pair's square layer, "first" and "last" for its parameters.
        step: the step there.
        problems: the pairs in which the mistake can be made.
        looks_like: a part of the hint, where the mistake has a known shape.
        dtype: the dtype in which it shows.
    """

    name: str
    sides: tuple[Framework, ...]
    change: Change
    stage: str
    tensor: str = ""
    step: int = 0
    problems: tuple[str, ...] = ALL
    looks_like: str = ""
    dtype: str = "float64"

    def planted(self, pair: Pair) -> Pair:
        """The wrong pair."""
        for framework in self.sides:
            side = replace(pair.side(framework), **self.change(pair, framework))
            pair = replace(pair, torch=side) if framework == "torch" else replace(pair, jax=side)
        return pair

    def where(self, pair: Pair) -> tuple[str, int, str, str]:
        """Stage, step, tensor and dtype at which the check must report it."""
        names = parameters(pair)
        known = {"first": lambda: names[0], "last": lambda: names[-1]}
        tensor = known.get(self.tensor, lambda: self.tensor)()
        return self.stage, self.step, tensor.replace("*", square_layer(pair) if "*" in tensor else ""), self.dtype


def square_layer(pair: Pair) -> str:
    """The first layer whose weight is square, where a transposed kernel goes unnoticed by shapes."""
    drawn: Arrays = resolve(pair.torch.parameters or "", "torch")(0)
    names = [name for name, array in drawn.items() if array.ndim == 2 and array.shape[0] == array.shape[1]]
    return names[0].removesuffix(".weight")


def parameters(pair: Pair) -> list[str]:
    """The names of the pair's parameters in the canonical order."""
    return list(resolve(pair.torch.parameters or "", "torch")(0))


def part(pair: Pair, framework: Framework, name: str) -> Callable[..., Any]:
    """A right part of a side."""
    found: Callable[..., Any] = resolve(getattr(pair.side(framework), name), framework)
    return found


def scaled_loss(pair: Pair, framework: Framework) -> dict[str, Any]:
    """The sum of two examples' losses, where one was meant."""
    right = part(pair, framework, "loss")
    return {"loss": lambda model, batch: 2 * right(model, batch)}


def no_relu(pair: Pair, framework: Framework) -> dict[str, Any]:
    module = planted_torch if framework == "torch" else planted_jax
    return {name: module.without_relu(part(pair, framework, name)) for name in ("loss", "predict")}


def layer(change: str) -> Change:
    """Another output of the square layer."""

    def wrong(pair: Pair, framework: Framework) -> dict[str, Any]:
        module: Any = planted_torch if framework == "torch" else planted_jax
        right = part(pair, framework, "model")
        return {"model": module.changed_layer(right, square_layer(pair), getattr(module, change))}

    return wrong


def _transposed(pair: Pair, arrays: Arrays) -> Arrays:
    name = f"{square_layer(pair)}.weight"
    return {key: np.ascontiguousarray(array.T) if key == name else array for key, array in arrays.items()}


def transposed_in(pair: Pair, framework: Framework) -> dict[str, Any]:
    """The square kernel is transposed on its way in."""
    right = part(pair, framework, "model")
    return {"model": lambda arrays, dtype, device: right(_transposed(pair, arrays), dtype, device)}


def transposed_in_and_out(pair: Pair, framework: Framework) -> dict[str, Any]:
    """The square kernel is transposed on its way in and on its way out, so that the parameters look right."""
    out = part(pair, framework, "arrays")
    return transposed_in(pair, framework) | {"arrays": lambda model: _transposed(pair, out(model))}


def optimizer(torch: Callable[..., Any], jax: Callable[..., Any]) -> Change:
    """Another optimizer; `torch` makes it from the right one, `jax` is it."""

    def wrong(pair: Pair, framework: Framework) -> dict[str, Any]:
        return {"optimizer": torch(part(pair, framework, "optimizer")) if framework == "torch" else jax}

    return wrong


def rate(pair: Pair, framework: Framework) -> dict[str, Any]:
    """A learning rate 1 % too high."""
    if pair.side(framework).update is not None:
        right = part(pair, framework, "update")
        return {"update": lambda model, gradients: right(model, gradients, learning_rate=0.05 * 1.01)}
    wrong = optimizer(lambda right: planted_torch.option(right, lr=1.01), planted_jax.adam(0.03 * 1.01))
    return wrong(pair, framework)


def unmoved(pair: Pair, framework: Framework) -> dict[str, Any]:
    """One parameter that the update leaves where it is."""
    if pair.side(framework).update is not None:
        right = part(pair, framework, "update")
        name = parameters(pair)[-1]
        return {"update": lambda model, gradients: right(model, gradients) | {name: model[name]}}
    drawn = resolve(pair.jax.parameters or "", "jax")(0)
    moving = {name: np.full_like(array, name != parameters(pair)[-1]) for name, array in drawn.items()}
    wrong = optimizer(planted_torch.leaving_out_last, planted_jax.moving_only(part(pair, "jax", "model"), moving))
    return wrong(pair, framework)


class ChangedBatches(Sequence[Batch]):
    """Batches of which each is changed when it is taken, or another one is taken."""

    def __init__(self, right: Sequence[Batch], change: Callable[[Batch], Batch], shift: int = 0) -> None:
        self._right, self._change, self._shift = right, change, shift

    def __getitem__(self, index: Any) -> Any:
        return self._change(self._right[(index + self._shift) % len(self._right)])

    def __len__(self) -> int:
        return len(self._right)


def data(change: Callable[[Batch], Batch], shift: int = 0) -> Change:
    """Other batches."""

    def wrong(pair: Pair, framework: Framework) -> dict[str, Any]:
        right = part(pair, framework, "batches")
        return {"batches": lambda seed, steps: ChangedBatches(right(seed, steps), change, shift)}

    return wrong


def shifted_labels(batch: Batch) -> Batch:
    """Every example has its neighbour's label."""
    return batch | {"labels": np.roll(batch["labels"], 1)}


def undivided(batch: Batch) -> Batch:
    """Pixels as they are in the file."""
    return batch | {"images": batch["images"] * 255}


def never_zeroing(pair: Pair, framework: Framework) -> dict[str, Any]:
    """A loop of the side's own that adds every gradient to those before; the engine's own steps stay right."""

    def train(loop: str, *, seed: int, dtype: Any, device: Any, start: int, count: int, **others: Any) -> Any:
        live = live_side(pair.side(framework), framework, dtype, device)
        state = others["state"] or State(live.initial(seed), {})
        batches, total, losses = live.batches(seed, start + count), None, []
        for step in range(start, start + count):
            loss, found, _ = live.gradients(state.parameters, batches[step])
            total = found if total is None else {name: total[name] + found[name] for name in found}
            state = live.update(state, total)
            losses.append(loss)
        return np.array(losses), state

    return {"train": train, "loops": ("stepped",), "missing": None}


TORCH: tuple[Framework, ...] = ("torch",)
JAX: tuple[Framework, ...] = ("jax",)
BOTH: tuple[Framework, ...] = ("torch", "jax")
CORRECTION = (planted_torch.AdamWithoutCorrection, planted_torch.AdamCountingInFloat32)


def either(name: str, change: Change, *where: Any, **others: Any) -> list[Mistake]:
    """The same mistake on the one side and on the other."""
    return [Mistake(f"{name}, {side[0]}", side, change, *where, **others) for side in (TORCH, JAX)]


MISTAKES: list[Mistake] = [
    *either("sum for mean", scaled_loss, "loss", "loss"),
    *either("missing ReLU", no_relu, "forward", "fc2.input", problems=NETS),
    *either("square kernel transposed on its way in", transposed_in, "init", "*.weight", problems=NETS,
            looks_like="transposed"),
    *either("square kernel transposed both ways", transposed_in_and_out, "forward", "*.output", problems=NETS),
    *either("learning rate off by 1 %", rate, "update", "first", looks_like="times as large"),
    *either("Adam's epsilon 1e-7 for 1e-8",
            optimizer(lambda right: planted_torch.option(right, eps=10.0), planted_jax.adam(eps=1e-7)),
            "update", "first", problems=NETS),
    *either("bias correction missing",
            optimizer(lambda _: planted_torch.other_optimizer(CORRECTION[0]),
                      planted_jax.wrong_adam(planted_jax.no_correction)),
            "update", "first", problems=NETS),
    *either("Adam's step counter in float32",
            optimizer(lambda _: planted_torch.other_optimizer(CORRECTION[1]),
                      planted_jax.wrong_adam(planted_jax.correction_in_float32)),
            "update", "first", problems=NETS),
    *either("gradient not zeroed", never_zeroing, "trajectory", "loss", step=2),
    *either("batch order shifted by one", data(dict, shift=1), "data", "images", problems=MNIST,
            looks_like="one step"),
    *either("labels shifted by one", data(shifted_labels), "data", "labels", problems=MNIST,
            looks_like="shifted by one example"),
    *either("pixels not divided", data(undivided), "data", "images", problems=MNIST, looks_like="255"),
    *either("one layer's bias dropped", layer("without_bias"), "forward", "*.output", problems=NETS),
    *either("float32 arithmetic inside a float64 run", layer("in_float32"), "forward", "*.output", problems=NETS),
    *either("TF32 emulated", layer("in_tf32"), "forward", "*.output", problems=NETS, dtype="float32"),
    Mistake("TF32 emulated on both sides", BOTH, layer("in_tf32"), "forward", "*.output", problems=NETS,
            dtype="float32"),
    *either("a NaN", layer("with_nan"), "forward", "*.output", problems=NETS),
    Mistake("a NaN on both sides", BOTH, layer("with_nan"), "forward", "*.output", problems=NETS),
    *either("a parameter that does not move", unmoved, "update", "last"),
    Mistake("a parameter that does not move on both sides", BOTH, unmoved, "", problems=("line_fit",)),
]  # fmt: skip
