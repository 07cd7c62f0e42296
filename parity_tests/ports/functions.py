"""The table of functions: each activation and each loss of torch beside its counterpart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx
from torch import nn

from parity_tests.ports import losses
from parity_tests.ports.layer_case import Array, LayerCase, channels, features, function

CLASSES = 5
WEIGHT = (0.5, 2.0, 1.5, 0.25, 1.0)
REDUCTIONS = ("mean", "sum", "none")

Jax = Callable[..., jax.Array]
Activation = tuple[Callable[[], nn.Module], Jax] | tuple[Callable[[], nn.Module], Jax, str]

ACTIVATIONS: dict[str, Activation] = {
    "ReLU": (nn.ReLU, nnx.relu),
    "ReLU6": (nn.ReLU6, nnx.relu6),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.2), lambda x: nnx.leaky_relu(x, 0.2)),
    "ELU": (lambda: nn.ELU(0.7), lambda x: nnx.elu(x, 0.7)),
    "CELU": (
        lambda: nn.CELU(0.5),
        lambda x: nnx.celu(x, 0.5),
        "torch's gradient takes 1 / alpha in float32: with alpha 0.7, 2e-8 off in float64",
    ),
    "SELU": (nn.SELU, nnx.selu),
    "GELU": (
        nn.GELU,
        lambda x: nnx.gelu(x, approximate=False),
        "torch's default is the exact form, JAX's the tanh form",
    ),
    "GELU, tanh": (lambda: nn.GELU("tanh"), nnx.gelu),
    "SiLU": (nn.SiLU, nnx.silu),
    "Mish": (nn.Mish, jax.nn.mish, "only in jax.nn"),
    "Sigmoid": (nn.Sigmoid, nnx.sigmoid),
    "LogSigmoid": (nn.LogSigmoid, nnx.log_sigmoid),
    "Hardsigmoid": (
        nn.Hardsigmoid,
        nnx.hard_sigmoid,
        "nothing; but torch's gradient takes 1/6 in float32, and is 3e-8 off in float64",
    ),
    "Hardswish": (nn.Hardswish, nnx.hard_swish),
    "Hardtanh": (nn.Hardtanh, nnx.hard_tanh, "no other bounds than -1 and 1"),
    "Tanh": (nn.Tanh, jnp.tanh),
    "Softplus": (nn.Softplus, nnx.softplus, "no beta; torch gives x itself above 20, 1e-10 off"),
    "Softsign": (nn.Softsign, nnx.soft_sign),
    "Softmax": (lambda: nn.Softmax(-1), nnx.softmax),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), nnx.log_softmax),
    "GLU": (nn.GLU, nnx.glu),
    "Tanhshrink": (nn.Tanhshrink, lambda x: x - jnp.tanh(x), "none"),
    "Hardshrink": (nn.Hardshrink, lambda x: jnp.where(jnp.abs(x) > 0.5, x, 0), "none"),
    "Softshrink": (nn.Softshrink, lambda x: jnp.sign(x) * nnx.relu(jnp.abs(x) - 0.5), "none"),
    "Threshold": (lambda: nn.Threshold(0.1, -2.0), lambda x: jnp.where(x > 0.1, x, -2), "none"),
}


def _activations() -> Iterator[LayerCase]:
    for name, (of_torch, of_jax, *missing) in ACTIVATIONS.items():
        lowered = name == "Hardsigmoid"
        yield LayerCase(name, of_torch, function(of_jax), features(6), missing="".join(missing), float32_inside=lowered)


def _labels(axes: int, *, ignored: bool) -> Callable[..., tuple[Array, ...]]:
    """Logits, and the class of every entry; where `ignored`, about a third of them is -100, but never all."""

    def draw(numbers: np.random.Generator, batch: int, size: int) -> tuple[Array, ...]:
        (logits,) = channels(CLASSES, axes)(numbers, batch + 1, size)
        labels = numbers.integers(0, CLASSES, (batch + 1, *logits.shape[2:]))
        if ignored:
            labels[numbers.random(labels.shape) < 0.3] = -100
            labels[0] = 0
        return logits, labels

    return draw


def _two(numbers: np.random.Generator, batch: int, size: int) -> tuple[Array, ...]:
    return numbers.standard_normal((batch, size)), numbers.standard_normal((batch, size))


def _binary(numbers: np.random.Generator, batch: int, size: int) -> tuple[Array, ...]:
    return numbers.standard_normal((batch, CLASSES)), numbers.random((batch, CLASSES))


def _probabilities(numbers: np.random.Generator, batch: int, size: int) -> tuple[Array, ...]:
    return numbers.standard_normal((batch, CLASSES)), numbers.dirichlet(np.ones(CLASSES), batch)


def _between(numbers: np.random.Generator, batch: int, size: int) -> tuple[Array, ...]:
    return numbers.uniform(0.01, 0.99, (batch, size)), numbers.random((batch, size))


def _log_probabilities(numbers: np.random.Generator, batch: int, size: int) -> tuple[Array, ...]:
    first, second = numbers.dirichlet(np.ones(CLASSES), (2, batch))
    return np.log(first), np.log(second)


class Weighted(nnx.Module):
    """A loss with the weights of classes, which torch keeps in a buffer."""

    def __init__(self, loss: Jax, weight: tuple[float, ...]) -> None:
        self.loss, self.weight = loss, weight

    def __call__(self, predictions: jax.Array, targets: jax.Array) -> jax.Array:
        return self.loss(predictions, targets, jnp.asarray(self.weight, predictions.dtype))


def _cross_entropies(reduction: str) -> Iterator[LayerCase]:
    told: dict[str, dict[str, Any]] = {
        "CrossEntropyLoss": {},
        "CrossEntropyLoss, smoothed": {"label_smoothing": 0.1},
        "CrossEntropyLoss, ignored index": {"ignore_index": -100},
        "CrossEntropyLoss, all": {"label_smoothing": 0.1, "ignore_index": -100, "weight": WEIGHT},
        "CrossEntropyLoss, weights": {"weight": WEIGHT},
        "NLLLoss": {"ignore_index": -100, "weight": WEIGHT},
    }
    for name, options in told.items():
        weight = options.get("weight")
        rest = {key: value for key, value in options.items() if key != "weight"} | {"reduction": reduction}
        of_jax = partial(losses.nll if name == "NLLLoss" else losses.cross_entropy, **rest)
        kind = getattr(nn, name.partition(",")[0])
        for axes in (0, 2):
            yield LayerCase(
                f"{name}, {reduction}{', of images' if axes else ''}",
                partial(_weighted, kind, weight, rest),
                function(of_jax) if weight is None else partial(_weighted_counterpart, of_jax, weight),
                _labels(axes, ignored="ignore_index" in options),
                missing=_missing(options, reduction),
            )


def _weighted(kind: Any, weight: tuple[float, ...] | None, options: dict[str, Any]) -> nn.Module:
    loss: nn.Module = kind(weight=None if weight is None else torch.tensor(weight), **options)
    return loss


def _weighted_counterpart(loss: Jax, weight: tuple[float, ...], rngs: nnx.Rngs) -> nnx.Module:
    return Weighted(loss, weight)


def _missing(options: dict[str, Any], reduction: str) -> str:
    lacking = [f"no {name}" for name in ("weight", "ignore_index") if name in options]
    lacking += ["smoothing only of one-hot labels"] if "label_smoothing" in options else []
    lacking += ["no reduction"] if reduction != "none" else []
    return "Optax: " + ", ".join(lacking) if lacking else ""


def _other_losses(reduction: str) -> Iterator[LayerCase]:
    def case(name: str, of_torch: nn.Module, of_jax: Jax, draw: Any, missing: str = "") -> LayerCase:
        return LayerCase(f"{name}, {reduction}", lambda: of_torch, function(of_jax), draw, missing=missing)

    def of(loss: Jax) -> Jax:
        return lambda *inputs: losses.reduced(loss(*inputs), reduction)

    how: Any = {"reduction": reduction}
    yield case("MSELoss", nn.MSELoss(**how), of(optax.squared_error), _two)
    yield case("L1Loss", nn.L1Loss(**how), of(lambda left, right: jnp.abs(left - right)), _two, "Optax: none")
    yield case("HuberLoss", nn.HuberLoss(delta=0.7, **how), of(partial(optax.huber_loss, delta=0.7)), _two)
    smooth = partial(losses.smooth_l1, beta=0.7, **how)
    yield case(
        "SmoothL1Loss", nn.SmoothL1Loss(beta=0.7, **how), smooth, _two, "Optax: only Huber's, not divided by beta"
    )
    yield case("BCEWithLogitsLoss", nn.BCEWithLogitsLoss(**how), of(optax.sigmoid_binary_cross_entropy), _binary)
    yield LayerCase(
        f"BCEWithLogitsLoss, weights, {reduction}",
        lambda: nn.BCEWithLogitsLoss(pos_weight=torch.tensor(WEIGHT), **how),
        partial(_weighted_counterpart, partial(losses.binary_cross_entropy_with_logits, **how), WEIGHT),
        _binary,
        missing="Optax: no pos_weight",
    )
    yield case("BCELoss", nn.BCELoss(**how), partial(losses.binary_cross_entropy, **how), _between, "Optax: none")
    smoothed: Any = {"label_smoothing": 0.1, **how}
    yield case(
        "CrossEntropyLoss, of probabilities",
        nn.CrossEntropyLoss(**smoothed),
        partial(losses.cross_entropy_of_probabilities, **smoothed),
        _probabilities,
    )


def _divergences() -> Iterator[LayerCase]:
    # Of "mean", torch warns that it is to become "batchmean".
    for reduction in ("batchmean", "sum", "none"):
        for log_target in (False, True):
            how: Any = {"reduction": reduction, "log_target": log_target}
            yield LayerCase(
                f"KLDivLoss, {reduction}{', logarithms' if log_target else ''}",
                partial(nn.KLDivLoss, **how),
                function(partial(losses.kl_divergence, **how)),
                _log_probabilities if log_target else _probabilities,
                missing="Optax: summed over the classes",
            )


FUNCTIONS: tuple[LayerCase, ...] = (
    *_activations(),
    *(case for reduction in REDUCTIONS for case in (*_cross_entropies(reduction), *_other_losses(reduction))),
    *_divergences(),
)
