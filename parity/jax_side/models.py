"""How the engine holds a JAX side's model: by the side's own parts, or as any Flax NNX module."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity.errors import NotCheckable
from parity.jax_side.outline import outline
from parity.parts import Parts, blame
from parity.recording import Array, Arrays, Device, Dtype
from parity.weight_map.weight_map import WeightMap


class Held(NamedTuple):
    """A model between two calls, a pytree: what is differentiated by, and what else it keeps, its buffers."""

    trained: Any
    kept: Any


class Place(NamedTuple):
    """Where a module of the JAX side stands on the torch side.

    Attributes:
        name: of its torch twin.
        channels: whether what goes in and comes out has its channels last here, and behind the examples there.
        order: where each feature that goes in on the torch side stands on this side; None: at the same place. They
            part behind a convolution that is flattened.
    """

    name: str
    channels: bool
    order: Array | None = None


class Models(Protocol):
    """Holds the models of a side as pytrees, and reads them back as canonical arrays."""

    @property
    def unmatched(self) -> frozenset[str]:
        """Layers of the torch side that no layer of this side stands for."""

    @property
    def apart(self) -> frozenset[str]:
        """Arrays that the torch side holds and this side does not."""

    def held(self, arrays: Arrays) -> Held:
        """A model of its own memory that holds these arrays."""

    def trained_arrays(self, trained: Any) -> Arrays:
        """What is differentiated by, or anything that is built like it: gradients, moments."""

    def kept_arrays(self, kept: Any) -> Arrays:
        """The buffers."""

    def trained_from(self, arrays: Arrays) -> Any:
        """The way back from `trained_arrays`."""

    def bound(self, held: Held, *, training: bool) -> Any:
        """The model as the side's own code takes it, in training or in evaluation mode."""

    def kept_after(self, model: Any) -> Any:
        """The buffers of a model that was called."""

    def places(self, model: Any) -> dict[int, Place]:
        """The layers to be watched, by the identity of the module."""


class ByHand:
    """A model that the side's own parts build and read. It has no buffers, and its layers are named as torch's are."""

    unmatched: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()

    def __init__(self, parts: Parts, dtype: Dtype, device: Device) -> None:
        self._parts, self._dtype, self._device = parts, dtype, device

    def held(self, arrays: Arrays) -> Held:
        return Held(self.trained_from(arrays), ())

    def trained_arrays(self, trained: Any) -> Arrays:
        found: Arrays = self._parts.arrays(trained)
        return {name: np.array(array) for name, array in found.items()}

    def kept_arrays(self, kept: Any) -> Arrays:
        return {}

    def trained_from(self, arrays: Arrays) -> Any:
        return self._parts.model_of(arrays, self._dtype, self._device)

    def bound(self, held: Held, *, training: bool) -> Any:
        return held.trained

    def kept_after(self, model: Any) -> Any:
        return ()

    def places(self, model: Any) -> dict[int, Place]:
        return own_places(model)


class OfNnx:
    """Any Flax NNX module, built once in outline and filled through the weight map."""

    def __init__(self, parts: Parts, dtype: Dtype) -> None:
        self._parts, self._dtype = parts, dtype

    @cached_property
    def _split(self) -> tuple[Any, Any, Any, Any]:
        with blame("jax", "model"):
            module = nnx.eval_shape(lambda: module_of(self._parts))
        return _split(module)

    @cached_property
    def map(self) -> WeightMap:
        """Between torch's names and layout and this module's."""
        graph, trained, drawing, kept = self._split
        return self._parts.weight_map(outline(nnx.merge(graph, trained, drawing, kept)))

    @property
    def unmatched(self) -> frozenset[str]:
        owners = {module.name for module in self._parts.torch_outline.modules if module.parameters and module.name}
        return frozenset(owners - {place.name for place in self._places.values()})

    @property
    def apart(self) -> frozenset[str]:
        return frozenset((*self.map.apart.torch, *self.map.apart.zero))

    def held(self, arrays: Arrays) -> Held:
        leaves = self.map.to_jax(arrays)
        _, trained, _, kept = self._split
        return Held(filled(trained, leaves, self._dtype), filled(kept, leaves, self._dtype))

    def trained_arrays(self, trained: Any) -> Arrays:
        return self.map.to_torch(leaves_of(trained))

    def kept_arrays(self, kept: Any) -> Arrays:
        found = leaves_of(kept)
        return self.map.to_torch(found) if found else {}

    def trained_from(self, arrays: Arrays) -> Any:
        return filled(self._split[1], self.map.to_jax(arrays), self._dtype)

    def bound(self, held: Held, *, training: bool) -> Any:
        graph, _, drawing, _ = self._split
        # Variables of their own: a call may only change those of the trace that it is in.
        trained, kept = jax.tree.map(lambda leaf: leaf, (held.trained, held.kept))
        model = nnx.merge(graph, trained, _fresh(drawing), kept)
        (model.train if training else model.eval)()
        return model

    def kept_after(self, model: Any) -> Any:
        return _split(model)[3]

    def places(self, model: Any) -> dict[int, Place]:
        named = ((_dotted(path), module) for path, module in nnx.iter_modules(model))
        return {id(module): self._places[path] for path, module in named if path in self._places}

    @cached_property
    def _places(self) -> dict[str, Place]:
        return {
            path: Place(layer.torch, layer.channels, _order_of_inputs(self.map, path))
            for path, layer in self.map.layers.items()
            if path and layer.torch
        }


def _order_of_inputs(weight_map: WeightMap, path: str) -> Array | None:
    """Where each feature that torch hands to a linear layer stands in what is handed to its twin, if not in order."""
    for entry in weight_map.entries:
        whole = entry.torch.axis is None and entry.jax.axis is None
        if whole and entry.jax.name == f"{path}.kernel" and len(entry.torch.whole) == len(entry.jax.whole) == 2:
            features, outputs = entry.jax.whole
            rows = np.repeat(np.arange(features)[:, None], outputs, axis=1)
            order = entry.to_torch(rows)[0]
            return None if np.array_equal(order, np.arange(features)) else order
    return None


def own_places(model: Any) -> dict[int, Place]:
    """Every submodule that owns parameters itself, under its own name and in its own layout."""
    if not isinstance(model, nnx.Module):
        return {}
    return {
        id(module): Place(_dotted(path) or "model", channels=False)
        for path, module in nnx.iter_modules(model)
        if any(isinstance(value, nnx.Param) for value in vars(module).values())
    }


def _split(module: nnx.Module) -> tuple[Any, Any, Any, Any]:
    """The graph, the parameters, the random streams and everything else that a module keeps."""
    graph, *states = nnx.split(module, nnx.Param, nnx.RngState, ...)
    trained, drawing, kept = states
    return graph, trained, drawing, kept


def module_of(parts: Parts) -> nnx.Module:
    """The side's module, drawn anyhow.

    Raises:
        NotCheckable: it is something else.
    """
    factory = inspect.unwrap(parts.model)
    # A Flax class is called through its metaclass, which takes anything.
    named = inspect.signature(factory.__init__ if inspect.isclass(factory) else factory).parameters
    model = parts.model(rngs=nnx.Rngs(0)) if "rngs" in named else parts.model()
    if not isinstance(model, nnx.Module):
        raise NotCheckable(
            f"the jax side's model gave a {type(model).__name__}: expected an nnx.Module, or name the part `arrays`, "
            "which reads it"
        )
    return model


def leaves_of(tree: Any) -> Arrays:
    """The leaves of a pytree of parameters by their dotted paths."""
    return {name: np.array(leaf) for name, leaf in _named_leaves(tree)}


def filled(tree: Any, arrays: Mapping[str, Array], dtype: Dtype) -> Any:
    """A pytree built like `tree` with other leaves, floating ones in `dtype`."""
    named = _named_leaves(tree)
    made = [
        np.array(arrays[name], dtype if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.dtype)
        for name, leaf in named
    ]
    return jax.tree.unflatten(jax.tree.structure(tree), jax.device_put(made))


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    found, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(_dotted(part for part in path if not _is_value(part)), leaf) for path, leaf in found]


def _is_value(part: Any) -> bool:
    """Whether a step of a path leads into an nnx.Variable, which is no name of the model's."""
    return isinstance(part, jax.tree_util.GetAttrKey) and part.name == "value"


def _dotted(path: Any) -> str:
    return ".".join(str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", part)))) for part in path)


def _fresh(drawing: Any) -> Any:
    """Keys and counters of random streams as they are at the start. Nothing that is compared may draw from them."""
    return jax.tree.map(
        lambda leaf: (
            jax.random.key(0) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else jnp.zeros((), leaf.dtype)
        ),
        drawing,
    )
