"""A torch optimizer as an Optax transformation that takes the same steps, its state carried over both ways."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from parity.errors import MissingFramework, NotCheckable
from parity.jax_side.leaves import leaves_of, named_leaves
from parity.jax_side.models.protocol import Models
from parity.jax_side.optimizer.clipping import clipped
from parity.jax_side.optimizer.rules import taken
from parity.jax_side.optimizer.schedules import scheduled
from parity.pair.optimizers import STEP, Optimizer, checked_state, entries, fresh
from parity.recording import Array, Arrays
from parity.sides.parts import Parts
from parity.weight_map.weight_map import WeightMap


class TorchState(NamedTuple):
    """What a torch optimizer remembers: one count of steps, and entries built like the parameters.

    An entry that no group has is None. One that only some groups have stays as it begins for the other parameters.
    """

    step: jax.Array | None = None
    momentum_buffer: Any = None
    exp_avg: Any = None
    exp_avg_sq: Any = None
    max_exp_avg_sq: Any = None
    mu_product: Any = None
    square_avg: Any = None
    grad_avg: Any = None
    sum: Any = None
    exp_inf: Any = None
    acc_delta: Any = None
    prev: Any = None
    step_size: Any = None


def to_optax(optimizer: Optimizer, weight_map: WeightMap | None = None) -> optax.GradientTransformation:
    """The Optax transformation that takes the steps of a torch optimizer, with its schedule and its clipping.

    `init` goes on from what the optimizer remembers. The transformation needs the parameters, as `optax.adamw` does;
    its state has their dtype.

    Args:
        optimizer: as `parity.read_torch_optimizer` reads it.
        weight_map: between torch's parameters and the leaves; None: each leaf is at the path that torch names.

    Raises:
        NotCheckable: what the optimizer remembers cannot be carried over; `init` and `update`: the parameters are not
            those of the optimizer.
    """
    checked_state(optimizer)
    return _transformation(optimizer, _groups_of_leaves(optimizer, weight_map), weight_map)


def _transformation(
    optimizer: Optimizer, group_of: dict[str, int | None], weight_map: WeightMap | None,
    to_leaves: Callable[[Arrays], Arrays] = lambda arrays: arrays,
) -> optax.GradientTransformation:  # fmt: skip
    if weight_map is not None:
        to_leaves = weight_map.to_jax
    if weight_map is not None and optimizer.clip is not None and optimizer.clip.by == "norm":
        mapped = {entry.torch.name for entry in weight_map.entries}
        if alone := sorted(optimizer.shapes.keys() - mapped):
            raise NotCheckable(
                f"clipped by norm: {alone[0]} has no counterpart, and torch counts its gradient in the norm"
            )

    def init(parameters: Any) -> TorchState:
        _checked_leaves(optimizer, parameters, group_of)
        step = (
            jnp.asarray(optimizer.state.get(STEP, 0), jnp.int32) if optimizer.counts or optimizer.starts_apart else None
        )
        kept = {entry: _begun(optimizer, entry, parameters, group_of, to_leaves) for entry in optimizer.entries}
        return TorchState(step, **kept)

    def update(gradients: Any, state: TorchState, parameters: Any = None) -> tuple[Any, TorchState]:
        if parameters is None:
            raise ValueError("the steps of torch need the parameters: call update(gradients, state, parameters)")
        _checked_leaves(optimizer, parameters, group_of)
        return _stepped(optimizer, group_of, clipped(optimizer.clip, gradients), state, parameters)

    return optax.GradientTransformation(init, update)


def from_optax(optimizer: Optimizer, state: Any, parameters: Any, weight_map: WeightMap | None = None) -> Optimizer:
    """The optimizer with what an Optax state of its translation remembers, for `parity.write_torch_optimizer`.

    Args:
        optimizer: which `to_optax` was given.
        state: of the translation, alone or among the states of other transformations.
        parameters: that it belongs to.
        weight_map: as in `to_optax`.

    Raises:
        NotCheckable: there is no state of a translation in it, or more than one.
    """
    is_state: Callable[[Any], bool] = lambda node: isinstance(node, TorchState)  # noqa: E731 -- given twice
    states = [node for node in jax.tree.leaves(state, is_leaf=is_state) if is_state(node)]
    if len(states) != 1:
        raise NotCheckable(f"{len(states)} states of a translated optimizer: expected the one that its `init` gave")
    kept = states[0]
    step = None if kept.step is None else int(kept.step)
    if step is not None and optimizer.starts_apart:
        # Torch does not count here: what its next step depends on is whether there was one.
        step = min(step, 1)
    arrays: Arrays = {} if step is None else {STEP: np.asarray(step, np.int64)}
    for entry in optimizer.entries:
        leaves = leaves_of(jax.tree.unflatten(jax.tree.structure(parameters), jax.tree.leaves(getattr(kept, entry))))
        found = leaves if weight_map is None else weight_map.to_torch(leaves)
        arrays |= optimizer.remembered({f"{entry}.{name}": array for name, array in found.items()})
    # Before its first step SGD has no buffer, and its first step depends on that.
    return replace(optimizer, state={} if optimizer.kind == "SGD" and step == 0 else arrays)


def translation(parts: Parts, models: Models) -> tuple[Optimizer, optax.GradientTransformation] | None:
    """Torch's optimizer, which stands for one that the JAX side does not name; None where torch has none either.

    Raises:
        NotCheckable: it has no exact translation.
    """
    if parts.side.update is not None or parts.side.tie.torch is None:
        return None
    try:
        found = parts.torch_optimizer
        if found is None:
            return None
        if models.map is not None:
            frozen = parts.frozen
            moving = {name: shape for name, shape in found.shapes.items() if name not in frozen}
            found = replace(found, shapes=moving)
            return found, _sparing(frozen, to_optax(found, models.map), models.map)
        return found, _transformation(found, _groups_of_model(found, models), None, partial(_leaves_of_model, models))
    except MissingFramework:
        raise
    except NotCheckable as error:
        raise NotCheckable(f"the jax side names no optimizer, and torch's is not translated: {error}") from error


def _sparing(
    frozen: Collection[str], transformation: optax.GradientTransformation, weight_map: WeightMap
) -> optax.GradientTransformation:
    """The transformation for all but these torch parameters, which it neither moves nor is told the gradients of.

    Raises:
        NotCheckable: a leaf holds some of them and others, too.
    """
    if not frozen:
        return transformation
    spared = {entry.jax.name for entry in weight_map.entries if entry.torch.name in frozen}
    for entry in weight_map.entries:
        if entry.jax.name in spared and entry.torch.name not in frozen and not entry.buffer:
            raise NotCheckable(
                f"{entry.jax.name} holds frozen parameters of torch's, and {entry.torch.name}, which moves: name the "
                "optimizer on the JAX side, too"
            )

    def labels(parameters: Any) -> Any:
        found = ["frozen" if name in spared else "moving" for name, _ in named_leaves(parameters)]
        return jax.tree.unflatten(jax.tree.structure(parameters), found)

    groups = {"moving": transformation, "frozen": optax.set_to_zero()}
    made: optax.GradientTransformation = optax.partition(groups, labels)
    return made


def _stepped(
    optimizer: Optimizer, group_of: dict[str, int | None], gradients: Any, state: TorchState, parameters: Any
) -> tuple[Any, TorchState]:
    """What is added to each parameter, and the state after the step."""
    options = [scheduled(optimizer.schedule, group.options, state.step) for group in optimizer.groups]
    number = None if state.step is None else state.step + 1
    structure = jax.tree.structure(parameters)
    memory = {entry: jax.tree.leaves(getattr(state, entry)) for entry in optimizer.entries}
    added = []
    for index, ((name, parameter), gradient) in enumerate(
        zip(named_leaves(parameters), jax.tree.leaves(gradients), strict=True)
    ):
        if (group := group_of[name]) is None:
            added.append(jnp.zeros_like(parameter))
            continue
        o = options[group]
        mine = {entry: memory[entry][index] for entry in entries(optimizer.kind, optimizer.groups[group].options)}
        change, mine = taken(optimizer.kind, gradient, parameter, mine, o, number)
        added.append(change)
        for entry, array in mine.items():
            memory[entry][index] = array
    kept = {entry: jax.tree.unflatten(structure, leaves) for entry, leaves in memory.items()}
    return jax.tree.unflatten(structure, added), TorchState(number, **kept)


def _groups_of_leaves(optimizer: Optimizer, weight_map: WeightMap | None) -> dict[str, int | None]:
    """The group of each leaf by its path; None where the optimizer was not given the parameter."""
    group_of = optimizer.group_of
    if weight_map is None:
        return {name: group_of.get(name) for name in optimizer.shapes}
    found: dict[str, int | None] = {}
    for entry in weight_map.entries:
        if entry.torch.name in optimizer.shapes:
            group = group_of.get(entry.torch.name)
            if found.setdefault(entry.jax.name, group) != group:
                raise NotCheckable(
                    f"{entry.jax.name} holds torch parameters of two groups: put {entry.torch.name} and what is beside "
                    "it into one, or name the optimizer on the JAX side, too"
                )
    return found


def _groups_of_model(optimizer: Optimizer, models: Models) -> dict[str, int | None]:
    """The same of a model that the side's own parts fill: each leaf has the number of the group that it is filled with.

    A number in each element tells, whatever becomes of names and layout.
    """
    group_of = optimizer.group_of
    numbers = {name: np.full(shape, group_of.get(name, -1), np.float64) for name, shape in optimizer.shapes.items()}
    found: dict[str, int | None] = {}
    for name, leaf in leaves_of(models.trained_from(numbers)).items():
        if leaf.size and (leaf.min() != leaf.max() or leaf.min() not in range(-1, len(optimizer.groups))):
            raise NotCheckable(f"{name} holds torch parameters of two groups: put them into one")
        number = int(leaf.min()) if leaf.size else -1
        found[name] = None if number < 0 else number
    return found


def _leaves_of_model(models: Models, arrays: Arrays) -> Arrays:
    """The arrays as the side's own parts lay them out, by the paths of the leaves."""
    with jax.ensure_compile_time_eval():
        return leaves_of(models.trained_from(arrays))


def _checked_leaves(optimizer: Optimizer, parameters: Any, group_of: dict[str, int | None]) -> None:
    there = {name for name, _ in named_leaves(parameters)}
    missing, unknown = sorted(group_of.keys() - there), sorted(there - group_of.keys())
    if missing or unknown:
        told = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        raise NotCheckable(
            f"not the parameters that torch's {optimizer.kind} trains: {'; '.join(told)}: give the weight map between "
            "the two, or the leaves under torch's names"
        )


def _begun(
    optimizer: Optimizer, entry: str, parameters: Any, group_of: dict[str, int | None],
    to_leaves: Callable[[Arrays], Arrays],
) -> Any:  # fmt: skip
    """An entry as the optimizer remembers it, or as it is before the first step."""
    first = [fresh(entry, group.options) for group in optimizer.groups]
    if not any(name.startswith(f"{entry}.") for name in optimizer.state):
        begun = {name: 0.0 if group is None else first[group] for name, group in group_of.items()}
        return _filled(parameters, lambda name, leaf: jnp.full_like(leaf, begun[name]))
    arrays = {
        name: optimizer.state.get(f"{entry}.{name}", np.full(shape, first[optimizer.group_of.get(name, 0)]))
        for name, shape in optimizer.shapes.items()
    }
    leaves = to_leaves(arrays)
    return _filled(parameters, lambda name, leaf: _carried(entry, name, leaves[name], leaf))


def _filled(tree: Any, made: Callable[[str, Any], jax.Array]) -> Any:
    leaves = [made(name, leaf) for name, leaf in named_leaves(tree)]
    return jax.tree.unflatten(jax.tree.structure(tree), leaves)


def _carried(entry: str, name: str, array: Array, leaf: Any) -> jax.Array:
    if array.shape != leaf.shape:
        raise NotCheckable(
            f"{entry} of {name} has shape {list(array.shape)} in torch and the leaf {list(leaf.shape)}: give the "
            "weight map between the two"
        )
    return jnp.asarray(array, leaf.dtype)
