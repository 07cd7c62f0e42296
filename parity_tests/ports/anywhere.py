"""Mistakes in losses, data and optimizers, which any port can have: each is planted into every one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
import torch

from parity_tests import planted_torch as adams
from parity_tests.ports.planted import Mistake, data, entry, parts
from parity_tests.ports.planted_jax import moving_matrices_only, without
from parity_tests.ports.planted_torch import clipped, cross_entropy, leaving_out


@dataclass(frozen=True)
class Port:
    """What the mistakes are told of a port.

    Attributes:
        inputs: the entry of the batch that the model takes.
        labels: the entry with the right classes.
        loss: of the JAX side.
        first: the first parameter, in torch's order.
        last: the last one.
        last_in_jax: the path of that on the JAX side.
        decayed: the first parameter that weight decay moves: it does not begin as zeros.
        vector: the first such parameter with one axis.
        drawn: a class that is among the labels of the first batch of seed 0.
    """

    inputs: str
    labels: str
    loss: Callable[[Any, Any], jax.Array]
    first: str
    last: str
    last_in_jax: str
    decayed: str
    vector: str
    drawn: int


def losses_and_data(port: Port) -> list[Mistake]:
    """Mistakes in what is asked of the model, and in what it is given."""

    def summed(model: Any, batch: Any) -> jax.Array:
        total: jax.Array = port.loss(model, batch) * batch[port.labels].size
        return total

    def smoothed(**options: float) -> Any:
        return parts(loss=cross_entropy(port.inputs, port.labels, **options))

    return [
        Mistake("sum for mean in the loss", "jax", parts(loss=summed), "loss", "loss", says="times as large"),
        Mistake("label smoothing of 0.1", "torch", smoothed(label_smoothing=0.1), "loss", "loss"),
        Mistake("one class ignored in the loss", "torch", smoothed(ignore_index=port.drawn), "loss", "loss"),
        Mistake("labels shifted by one example", "jax", entry(port.labels, lambda labels: np.roll(labels, 1, axis=0)),
                "data", port.labels, says="shifted by one example"),
        Mistake("batches one step early", "torch", data(dict, shift=1), "data", port.inputs, says="one step"),
    ]  # fmt: skip


def images(port: Port) -> list[Mistake]:
    """Mistakes in images, on their way into the model."""
    return [
        Mistake("pixels not divided by 255", "jax", entry("images", lambda images: images * 255), "data", "images",
                says="255"),
        Mistake("height and width exchanged", "torch", entry("images", lambda images: images.swapaxes(2, 3)),
                "data", "images"),
        Mistake("images in float32 before they are divided", "jax", entry("images", lambda images: images.astype("f4")),
                "data", "images"),
    ]  # fmt: skip


@dataclass(frozen=True)
class Adam:
    """Adam or, where there is a `decay`, AdamW."""

    rate: float
    decay: float | None

    def of_torch(self, kind: type[torch.optim.Adam] | None = None, **others: Any) -> Any:
        """The part `optimizer` of the torch side, some options replaced."""
        usual = torch.optim.Adam if self.decay is None else torch.optim.AdamW
        options = {"lr": self.rate} | ({} if self.decay is None else {"weight_decay": self.decay}) | others
        return lambda parameters: (kind or usual)(list(parameters), **options)

    def of_jax(self, **others: Any) -> optax.GradientTransformation:
        """Optax's transformation, likewise."""
        if self.decay is None:
            return optax.adam(**{"learning_rate": self.rate, **others})
        return optax.adamw(**{"learning_rate": self.rate, "weight_decay": self.decay, **others})


def adam(port: Port, rate: float, decay: float | None = None) -> list[Mistake]:
    """Mistakes in Adam or, where there is a `decay`, in AdamW."""
    right, first, last = Adam(rate, decay), port.first, port.last

    def wrong(**others: Any) -> Any:
        return _optax(lambda: right.of_jax(**others))

    def in_torch(**others: Any) -> Any:
        return parts(optimizer=right.of_torch(**others))

    return [
        Mistake("learning rate 1 % too high", "jax", wrong(learning_rate=1.01 * rate), "update", first),
        Mistake("Adam's epsilon 1e-7 for 1e-8", "jax", wrong(eps=1e-7), "update", first),
        Mistake("Adam's epsilon inside the root", "jax", wrong(eps=0.0, eps_root=1e-8), "update", first),
        Mistake("Adam's beta2 0.99 for 0.999", "torch", in_torch(betas=(0.9, 0.99)), "update", f"exp_avg_sq.{first}"),
        Mistake("Adam's first beta 0.95 for 0.9", "jax", wrong(b1=0.95), "update", f"exp_avg.{first}"),
        Mistake("Nesterov's momentum in Adam", "jax", wrong(nesterov=True), "update", first),
        Mistake("gradients clipped to a norm of 0.1", "jax",
                _optax(lambda: optax.chain(optax.clip_by_global_norm(0.1), right.of_jax())), "update", first),
        Mistake("gradients clipped to a norm of 0.1", "torch", parts(optimizer=clipped(right.of_torch(), 0.1)),
                "update", first),
        Mistake("the last parameter frozen", "jax", _optax(without(right.of_jax(), {port.last_in_jax})), "update", last,
                says="not moved"),
        Mistake("the last parameter not given to the optimizer", "torch",
                parts(optimizer=leaving_out(right.of_torch(), -1)), "update", last,
                says="moved, where the other did not"),
        *(_without_decay(port, right) if decay is None else _with_decay(port, right, decay)),
    ]  # fmt: skip


def _without_decay(port: Port, right: Adam) -> list[Mistake]:
    uncorrected = parts(optimizer=right.of_torch(adams.AdamWithoutCorrection))
    decayed = parts(optimizer=right.of_torch(weight_decay=0.01))
    return [
        Mistake("bias correction missing", "torch", uncorrected, "update", port.first),
        Mistake("weight decay of 0.01", "torch", decayed, "update", port.decayed),
    ]


def _with_decay(port: Port, right: Adam, decay: float) -> list[Mistake]:
    penalty = optax.chain(optax.add_decayed_weights(decay), optax.adam(right.rate))
    return [
        Mistake("Optax's own weight decay of 1e-4", "jax", _optax(lambda: right.of_jax(weight_decay=1e-4)), "update",
                port.decayed),
        Mistake("weight decay as a penalty", "jax", _optax(lambda: penalty), "update", port.decayed),
        Mistake("weight decay spares biases and norms", "jax", _optax(lambda: right.of_jax(mask=moving_matrices_only)),
                "update", port.vector),
    ]  # fmt: skip


def _optax(made: Callable[[], optax.GradientTransformation]) -> Any:
    return parts(optimizer=made)
