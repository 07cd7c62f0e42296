"""Optax's own optimizers, given torch's constants, beside the torch optimizers that they are taken for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from torch.optim import lr_scheduler

from parity import check
from parity.arrays.rounding import cast
from parity.recording import Arrays, Dtype
from parity_tests.parity.optimizers import paired
from parity_tests.parity.optimizers.beside import Beside, apart, drawn, gradients
from parity_tests.parity.optimizers.cases import Case, clip_norm, clip_value

RATE = 0.01
IN_FLOAT32 = "the rate is made in float32, also inside a float64 run"


class Stock(NamedTuple):
    """What of Optax one would write for a case, and why that is something else; empty where it is the same."""

    case: Case
    written: str
    make: Callable[[], optax.GradientTransformation]
    why: str = ""
    form: str = ""
    """What a check says of it, where it says more than that a state is missing."""


def decayed(decay: float, transformation: optax.GradientTransformation) -> optax.GradientTransformation:
    return optax.chain(optax.add_decayed_weights(decay), transformation)


def cosine(optimizer: Any, length: int = 50) -> Any:
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=length)


STOCK = (
    Stock(Case("SGD", "SGD"), "sgd(lr)", lambda: optax.sgd(RATE)),
    Stock(Case("SGD, momentum", "SGD", {"momentum": 0.9}), "sgd(lr, momentum)", lambda: optax.sgd(RATE, 0.9)),
    Stock(Case("SGD, Nesterov", "SGD", {"momentum": 0.9, "nesterov": True}), "sgd(lr, momentum, nesterov=True)",
          lambda: optax.sgd(RATE, 0.9, nesterov=True)),
    Stock(Case("SGD, dampening", "SGD", {"momentum": 0.9, "dampening": 0.3}), "sgd(lr, momentum)",
          lambda: optax.sgd(RATE, 0.9), "there is no dampening",
          "SGD: dampening 0 on the jax side, 0.3 on the torch side"),
    Stock(Case("SGD, weight decay", "SGD", {"weight_decay": 0.01}), "chain(add_decayed_weights(decay), sgd(lr))",
          lambda: decayed(0.01, optax.sgd(RATE))),
    Stock(Case("Adam", "Adam"), "adam(lr)", lambda: optax.adam(RATE)),
    Stock(Case("Adam, weight decay", "Adam", {"weight_decay": 0.1}), "chain(add_decayed_weights(decay), adam(lr))",
          lambda: decayed(0.1, optax.adam(RATE))),
    Stock(Case("Adam, AMSGrad", "Adam", {"amsgrad": True}), "amsgrad(lr)", lambda: optax.amsgrad(RATE),
          "the largest of the corrected second moments, where torch takes that of the moments and corrects it",
          "Adam: the largest of the corrected second moments on the jax side"),
    Stock(Case("AdamW", "AdamW"), "adamw(lr)", lambda: optax.adamw(RATE), "its weight decay is 1e-4, torch's 1e-2",
          "AdamW: weight_decay 0.0001 on the jax side, 0.01 on the torch side"),
    Stock(Case("AdamW, same decay", "AdamW"), "adamw(lr, weight_decay=0.01)",
          lambda: optax.adamw(RATE, weight_decay=0.01)),
    Stock(Case("RMSprop", "RMSprop"), "rmsprop(lr, 0.99)", lambda: optax.rmsprop(RATE, 0.99),
          "epsilon under the root, where torch adds it to the root; and its decay is 0.9, torch's 0.99",
          "RMSprop: epsilon under the root on the jax side"),
    Stock(Case("RMSprop, epsilon outside", "RMSprop"), "rmsprop(lr, 0.99, eps_in_sqrt=False)",
          lambda: optax.rmsprop(RATE, 0.99, eps_in_sqrt=False)),
    Stock(Case("RMSprop, centred", "RMSprop", {"centered": True}), "rmsprop(..., eps_in_sqrt=False, centered=True)",
          lambda: optax.rmsprop(RATE, 0.99, eps_in_sqrt=False, centered=True)),
    Stock(Case("RMSprop, momentum, scheduled", "RMSprop", {"momentum": 0.9}, scheduler=cosine),
          "rmsprop(schedule, 0.99, eps_in_sqrt=False, momentum=0.9)",
          lambda: optax.rmsprop(optax.cosine_decay_schedule(RATE, 50), 0.99, eps_in_sqrt=False, momentum=0.9),
          "the buffer holds steps that are already multiplied by the rate, so that a schedule reaches it late"),
    Stock(Case("Adagrad", "Adagrad"), "adagrad(lr, 0.0, 1e-10)", lambda: optax.adagrad(RATE, 0.0, 1e-10),
          "epsilon under the root; by default it begins at 0.1 with 1e-7, torch at 0 with 1e-10; no lr_decay",
          "Adagrad: epsilon under the root on the jax side"),
    Stock(Case("Adamax", "Adamax"), "adamax(lr)", lambda: optax.adamax(RATE)),
    Stock(Case("NAdam", "NAdam"), "nadam(lr)", lambda: optax.nadam(RATE),
          "its momentum is the same in every step, where torch's begins at half of that",
          "NAdam: the full momentum from the first step on the jax side"),
    Stock(Case("RAdam", "RAdam"), "radam(lr)", lambda: optax.radam(RATE),
          "epsilon added to the corrected root, where torch corrects after it",
          "RAdam: epsilon added to the corrected root on the jax side"),
    Stock(Case("Adadelta", "Adadelta"), "adadelta(lr)", lambda: optax.adadelta(RATE)),
    Stock(Case("Rprop", "Rprop"), "rprop(lr)", lambda: optax.rprop(RATE),
          "each of its steps is the one that torch took a step before",
          "Rprop: each step a step late on the jax side"),
    Stock(Case("clipped by norm", "SGD", clip=clip_norm(0.05)), "chain(clip_by_global_norm(0.05), sgd(lr))",
          lambda: optax.chain(optax.clip_by_global_norm(0.05), optax.sgd(RATE)),
          "torch adds 1e-6 to the norm that it divides by",
          "torch adds 1e-6 to the norm that it clips by, Optax does not"),
    Stock(Case("clipped by value", "SGD", clip=clip_value(0.02)), "chain(clip(0.02), sgd(lr))",
          lambda: optax.chain(optax.clip(0.02), optax.sgd(RATE))),
    Stock(Case("StepLR", "SGD", scheduler=partial(lr_scheduler.StepLR, step_size=7, gamma=0.5)),
          "sgd(exponential_decay(lr, 7, 0.5, staircase=True))",
          lambda: optax.sgd(optax.exponential_decay(RATE, 7, 0.5, staircase=True)), IN_FLOAT32),
    Stock(Case("MultiStepLR", "SGD", scheduler=partial(lr_scheduler.MultiStepLR, milestones=[3, 20], gamma=0.5)),
          "sgd(piecewise_constant_schedule(lr, {3: 0.5, 20: 0.5}))",
          lambda: optax.sgd(optax.piecewise_constant_schedule(RATE, {3: 0.5, 20: 0.5}))),
    Stock(Case("ExponentialLR", "SGD", scheduler=partial(lr_scheduler.ExponentialLR, gamma=0.95)),
          "sgd(exponential_decay(lr, 1, 0.95))", lambda: optax.sgd(optax.exponential_decay(RATE, 1, 0.95)), IN_FLOAT32),
    Stock(Case("LinearLR", "SGD", scheduler=partial(lr_scheduler.LinearLR, start_factor=0.1, total_iters=20)),
          "sgd(linear_schedule(0.1 * lr, lr, 20))", lambda: optax.sgd(optax.linear_schedule(0.1 * RATE, RATE, 20)),
          IN_FLOAT32),
    Stock(Case("PolynomialLR", "SGD", scheduler=partial(lr_scheduler.PolynomialLR, total_iters=40, power=2.0)),
          "sgd(polynomial_schedule(lr, 0.0, 2.0, 40))",
          lambda: optax.sgd(optax.polynomial_schedule(RATE, 0.0, 2.0, 40)), IN_FLOAT32),
    Stock(Case("CosineAnnealingLR", "SGD", scheduler=cosine), "sgd(cosine_decay_schedule(lr, 50))",
          lambda: optax.sgd(optax.cosine_decay_schedule(RATE, 50))),
    Stock(Case("CosineAnnealingLR, and up", "SGD", scheduler=partial(cosine, length=11)),
          "sgd(cosine_decay_schedule(lr, 11))", lambda: optax.sgd(optax.cosine_decay_schedule(RATE, 11)),
          "after its length the rate stays, where torch's rises again",
          "on the jax side"),
)  # fmt: skip


def measured(stock: Stock, dtype: Dtype) -> float:
    """How far the parameters are from torch's at most, in 50 steps."""
    start, steps = drawn(), gradients()
    expected = Beside(stock.case, RATE, dtype).in_torch(start, steps).parameters
    with jax.enable_x64(dtype == "float64"):
        transformation, after = stock.make(), list[Arrays]()

        def step(leaves: Any, state: Any, slopes: Any) -> Any:
            updates, state = transformation.update(slopes, state, leaves)
            return optax.apply_updates(leaves, updates), state

        stepped = jax.jit(step)
        leaves = jax.device_put(cast(start, dtype))
        state = transformation.init(leaves)
        for slopes in steps:
            leaves, state = stepped(leaves, state, cast(slopes, dtype))
            after.append({name: np.asarray(leaf) for name, leaf in leaves.items()})
    return apart(expected, after)


def said(stock: Stock) -> str:
    """The first difference that a check finds where the JAX side has this optimizer of Optax's."""
    pair = paired.beside(stock.case, RATE, stock.make, steps=20)
    return str(check(pair, dtypes=("float64",), loops=()).first_difference or "")
