"""A side's transformation of Optax, and its state as canonical arrays, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from parity.errors import NotCheckable
from parity.jax_side.leaves import to_numpy
from parity.jax_side.optimizer.own_shapes import fitted, kept_apart, put_back
from parity.pair.optimizers import STEP
from parity.recording import Array, Arrays
from parity.sides.parts import Parts

TORCH_NAMES = {"count": "step", "mu": "exp_avg", "nu": "exp_avg_sq", "trace": "momentum_buffer"}
"""Fields of Optax states by the name that `torch.optim` gives the same quantity, unless `NAMES_OF` has another."""
RMS, CENTRED = {"nu": "square_avg"}, {"mu": "grad_avg", "nu": "square_avg"}
NAMES_OF = {
    "ScaleByRmsState": RMS,
    "ScaleByRmsWithCountState": RMS,
    "ScaleByRStdDevState": CENTRED,
    "ScaleByRStdDevWithCountState": CENTRED,
    "ScaleByRssState": {"sum_of_squares": "sum"},
    "FactoredState": {"v": "exp_avg_sq"},
    "ScaleByAdaDeltaState": {"e_g": "square_avg", "e_x": "acc_delta"},
}
"""The same of the states of Optax whose class, not all of them public, tells what a field is."""
SQUARE, LARGEST = "exp_avg_sq", "exp_inf"
"""What Adam and Adamax keep in the second field of `optax.ScaleByAdamState`, by torch's names."""


def made_transformation(parts: Parts) -> optax.GradientTransformation:
    """The optimizer of a JAX side.

    Raises:
        NotCheckable: the side's part gives something else, such as an `nnx.Optimizer`.
    """
    found = parts.optimizer()
    if not (hasattr(found, "init") and hasattr(found, "update")):
        raise NotCheckable(
            f"the jax side's optimizer gave a {type(found).__name__}: expected a transformation of Optax, (init, "
            "update), as optax.adam(0.1) is, and what an nnx.Optimizer or a TrainState is given as its tx"
        )
    return found


def _has_structure(node: Any, model: Any) -> bool:
    """Whether a part of an optimizer's state is built like the parameters, as moments are."""
    return bool(jax.tree.structure(node) == jax.tree.structure(model))  # type: ignore[operator]


def _is_masked(node: object) -> bool:
    """Whether a node stands for parameters that a part of the optimizer is not given, one of them or a whole branch."""
    return isinstance(node, optax.MaskedNode)


def _whole(node: Any, model: Any, number: float) -> Any:
    """A part of a state with `number` wherever something of the model is masked; as it is where nothing is."""
    if not any(map(_is_masked, jax.tree.leaves(node, is_leaf=_is_masked))):
        return node

    def filled(own: Any, branch: Any) -> Any:
        return jax.tree.map(partial(_like, number=number), branch) if _is_masked(own) else own

    try:
        return jax.tree.map(filled, node, model, is_leaf=_is_masked)
    except (TypeError, ValueError):
        # It is not built like the model: a state that has such parts.
        return node


def _masked(node: Any, model: Any, arrays_of: Callable[[Any], Arrays]) -> frozenset[str]:
    """The parameters that are masked in a part of a state which is built like the model."""
    if _whole(node, model, 0.0) is node:
        return frozenset()
    marks = fitted(_whole(jax.tree.map(partial(_like, number=0.0), node), model, 1.0), model)
    return frozenset(name for name, array in arrays_of(marks).items() if array.any())


def _like(leaf: Any, number: float) -> jax.Array:
    made: jax.Array = jax.device_put(np.full(leaf.shape, number, leaf.dtype))
    return made


def _is_state(node: object) -> bool:
    return isinstance(node, tuple) or _is_of_states(node)


def _is_of_states(node: object) -> bool:
    """Whether a node is a dict of states, as that of `optax.named_chain`, or of the schedules that are injected."""
    return isinstance(node, dict) and bool(node) and all(isinstance(value, tuple) for value in node.values())


def _fields(state: Any) -> list[tuple[str, Any]]:
    if isinstance(state, dict):
        return list(state.items())
    if isinstance(state, optax.PartitionState):
        # One transformation for each group of parameters, and each has the others masked.
        return [(str(group), inner) for group, inner in state.inner_states.items()]
    names = getattr(state, "_fields", None) or [""] * len(state)
    return list(zip(names, state, strict=True))


def _named(node: Any, theirs: Collection[str]) -> list[tuple[str, Any]]:
    """The parts of a state, its fields by torch's names, where `theirs` are the entries that torch's optimizer has."""
    names = TORCH_NAMES | NAMES_OF.get(type(node).__name__, {})
    if isinstance(node, optax.ScaleByAdamState) and LARGEST in theirs and SQUARE not in theirs:
        names["nu"] = LARGEST
    return [(names.get(field, field), value) for field, value in _fields(node)]


def _rebuilt(state: Any, values: list[Any]) -> Any:
    if isinstance(state, dict):
        return type(state)(zip(state, values, strict=True))
    if isinstance(state, optax.PartitionState):
        return optax.PartitionState(dict(zip(state.inner_states, values, strict=True)))
    return type(state)(*values) if hasattr(state, "_fields") else tuple(values)


def state_out(state: Any, model: Any, arrays_of: Callable[[Any], Arrays], theirs: Collection[str] = ()) -> Arrays:
    """Every field with the model's structure as `<entry>.<parameter>`, and every single number by its name.

    Of parameters that a part of the state is not given there is nothing in it. `theirs` are the entries that torch's
    optimizer has, where they are known.
    """
    found: Arrays = {}

    def walk(node: Any) -> None:
        for name, value in _named(node, theirs):
            if _has_structure(whole := _whole(value, model, 0.0), model):
                masked = _masked(value, model, arrays_of)
                arrays = arrays_of(fitted(whole, model)) | kept_apart(whole, model, arrays_of)
                arrays = {parameter: array for parameter, array in arrays.items() if parameter not in masked}
                found.update({f"{name}.{parameter}": array for parameter, array in arrays.items()})
            elif _is_state(value):
                walk(value)
            elif isinstance(value, jax.Array) and value.ndim == 0:
                number = to_numpy(value)
                found[name] = number.astype(np.int64) if number.dtype.kind == "i" else number

    if _is_state(state):
        walk(state)
    return found


def state_in(
    state: Any, model: Any, arrays: Arrays, model_of: Callable[[Arrays], Any], arrays_of: Callable[[Any], Arrays],
    theirs: Collection[str] = (),
) -> Any:  # fmt: skip
    """A fresh optimizer state filled with canonical arrays, named as in `state_out`; none at all leaves it fresh.

    Raises:
        NotCheckable: an array that the state needs is not there.
    """

    def number(name: str, like: jax.Array) -> jax.Array:
        return jnp.asarray(_entry(arrays, name), like.dtype)

    def filled(node: Any) -> Any:
        values = []
        for name, value in _named(node, theirs):
            if _has_structure(whole := _whole(value, model, 0.0), model):
                prefix = f"{name}."
                own = {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}
                given = model_of(own | _in_its_shape(whole, model, arrays_of))
                given = put_back(given, whole, model, own, arrays_of)
                value = jax.tree.map(lambda old, new: old if _is_masked(old) else new, value, given, is_leaf=_is_masked)
            elif _is_state(value):
                value = filled(value)
            elif isinstance(value, jax.Array) and value.ndim == 0:
                value = number(name, value)
            values.append(value)
        return _rebuilt(node, values)

    return filled(state) if arrays and _is_state(state) else state


def _in_its_shape(node: Any, model: Any, arrays_of: Callable[[Any], Arrays]) -> Arrays:
    """Something in the parameter's shape for what is remembered in another one."""
    apart = kept_apart(node, model, arrays_of)
    return {name: array for name, array in arrays_of(fitted(node, model)).items() if name in apart} if apart else {}


def with_count(found: Arrays, theirs: Collection[str], taken: int) -> Arrays:
    """What an optimizer remembers, with the steps that it has taken where torch's counts them and it does not itself.

    Optax's RMSprop, Adagrad and Adadelta have no use for a count: the one who takes the steps counts.
    """
    return {STEP: np.asarray(taken, np.int64)} | found if found and STEP in theirs else found


def completed(
    arrays: Arrays, state: Any, model: Any, arrays_of: Callable[[Any], Arrays], theirs: Collection[str] = ()
) -> Arrays:
    """Canonical arrays of an optimizer, those of a parameter that it was not given as a fresh `state` has them, or 0.

    The other side's optimizer may not have been given a parameter: then it remembers nothing of it. Or it is another
    optimizer, and remembers nothing of this kind of any: that is a difference where the two are compared.
    """
    if not arrays:
        return {}
    kept = {name.partition(".")[0] for name in arrays if "." in name}
    zeros = {name: np.zeros_like(array) for name, array in arrays_of(model).items()} if kept else {}
    begun = {f"{entry}.{name}": array for entry in kept for name, array in zeros.items()}
    begun |= {name: array for name, array in state_out(state, model, arrays_of, theirs).items() if "." in name}
    return begun | arrays


def _entry(arrays: Arrays, name: str) -> Array:
    if name not in arrays:
        raise NotCheckable(
            f"the jax side's optimizer keeps {name!r}, which the recorded state has not: {sorted(arrays)}"
        )
    return arrays[name]
