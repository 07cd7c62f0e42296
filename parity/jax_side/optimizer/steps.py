"""Single steps of optimizers over flat arrays in float64: what another option, or Optax's own form, would have made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from parity.jax_side.optimizer.schedules import scheduled
from parity.jax_side.optimizer.translated import from_optax, to_optax
from parity.pair.optimizers import Optimizer, Options
from parity.recording import Arrays


def step(optimizer: Optimizer, parameters: Arrays, gradients: Arrays) -> tuple[Arrays, Arrays]:
    """The parameters after one step of torch's optimizer from what it remembers, and what it remembers then.

    Args:
        optimizer: whose parameters have the names of the arrays.
        parameters: before the step, float64.
        gradients: of the step, float64.
    """
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        leaves = jax.device_put(parameters)
        transformation = to_optax(optimizer)
        updates, state = transformation.update(jax.device_put(gradients), transformation.init(leaves), leaves)
        after = optax.apply_updates(leaves, updates)
        return {name: np.asarray(leaf) for name, leaf in after.items()}, from_optax(optimizer, state, leaves).state


Make = Callable[[Options], optax.GradientTransformation]


class Form(NamedTuple):
    """An optimizer of Optax that is written where torch's would be, and takes other steps.

    Attributes:
        words: what is otherwise in it.
        make: the transformation from the options of a group, whose `lr` is a number or a schedule.
    """

    words: str
    make: Make


def steps(form: Form, optimizer: Optimizer, parameters: Sequence[Arrays], gradients: Sequence[Arrays]) -> Arrays:
    """The parameters after the last of the steps that a form takes, each from the parameters that are given for it."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        made = [form.make(_with_rate(optimizer, group.options)) for group in optimizer.groups]
        states: list[Any] = [None] * len(made)
        after: Arrays = {}
        for before, slopes in zip(parameters, gradients, strict=True):
            for index, (transformation, group) in enumerate(zip(made, optimizer.groups, strict=True)):
                leaves, slope = ({name: jnp.asarray(a[name]) for name in group.parameters} for a in (before, slopes))
                state = transformation.init(leaves) if states[index] is None else states[index]
                updates, states[index] = transformation.update(slope, state, leaves)
                after |= {name: np.asarray(leaf) for name, leaf in optax.apply_updates(leaves, updates).items()}
    return after


def rate(optimizer: Optimizer, options: Options, count: int) -> float:
    """The learning rate of a group with these options after so many steps."""
    with jax.enable_x64(True):
        return float(scheduled(optimizer.schedule, options, jnp.asarray(count))["lr"])


def _with_rate(optimizer: Optimizer, options: Options) -> Options:
    if optimizer.schedule is None:
        return options
    return {**options, "lr": lambda count: scheduled(optimizer.schedule, options, count)["lr"]}


def forms(kind: str, options: Options) -> Iterator[Form]:
    """The forms of Optax that stand for an optimizer of this kind, as somebody who ports it would write them."""
    for words, make in FORMS.get(kind, {}).items():
        if kind != "Adam" or options["amsgrad"] == ("largest" in words):
            yield Form(words, partial(_decayed, make))


def _decayed(make: Make, o: Options) -> optax.GradientTransformation:
    """The transformation with the decay and the sign of the gradients that torch's has."""
    chain = [optax.scale(-1.0)] if o["maximize"] else []
    if o.get("weight_decay") and not o.get("decoupled_weight_decay"):
        chain.append(optax.add_decayed_weights(o["weight_decay"]))
    return optax.chain(*chain, make(o))


def _rmsprop(o: Options, **others: Any) -> optax.GradientTransformation:
    given = {"decay": o["alpha"], "eps": o["eps"], "centered": o["centered"], "momentum": o["momentum"] or None}
    return optax.rmsprop(o["lr"], **given | others)


def _adam(o: Options, **others: Any) -> optax.GradientTransformation:
    given = {"b1": o["betas"][0], "b2": o["betas"][1], "eps": o["eps"]} | others
    if o.get("decoupled_weight_decay"):
        return optax.adamw(o["lr"], **given, weight_decay=o["weight_decay"])
    return optax.adam(o["lr"], **given)


def _in_root(o: Options) -> optax.GradientTransformation:
    return _adam(o, eps=0.0, eps_root=o["eps"])


_ADAM: dict[str, Make] = {
    "epsilon under the root": _in_root,
    "Nesterov's momentum": partial(_adam, nesterov=True),
    "the largest of the corrected second moments": lambda o: optax.amsgrad(o["lr"], *o["betas"], o["eps"]),
}
FORMS: dict[str, dict[str, Make]] = {
    "Adam": _ADAM,
    "AdamW": {name: make for name, make in _ADAM.items() if "largest" not in name},
    "RMSprop": {
        "epsilon under the root": _rmsprop,
        "epsilon under the root, and a decay of 0.9": partial(_rmsprop, decay=0.9),
    },
    "Adagrad": {
        "epsilon under the root": lambda o: optax.adagrad(o["lr"], o["initial_accumulator_value"], o["eps"]),
        "epsilon 1e-7 under the root, and sums that begin at 0.1": lambda o: optax.adagrad(o["lr"]),
    },
    "NAdam": {"the full momentum from the first step": lambda o: optax.nadam(o["lr"], *o["betas"], o["eps"])},
    "RAdam": {"epsilon added to the corrected root": lambda o: optax.radam(o["lr"], *o["betas"], o["eps"])},
    "Rprop": {"each step a step late": lambda o: optax.rprop(o["lr"], *o["etas"], *o["step_sizes"])},
}
"""What is otherwise in a form of Optax, for each kind of torch's optimizers that has one."""
