"""The outline of an `nnx.Module`, and of arrays in plain trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from flax import linen, nnx

from parity.errors import NotCheckable
from parity.jax_side.leaves import named_leaves
from parity.weight_map.outline import Module, Outline, Shapes

SETTINGS = ("feature_group_count", "transpose_kernel", "num_heads")
"""Settings of Flax's layers that decide how their arrays are laid out."""
PARAMETERS = "params"
"""The collection of what is trained."""


def outline(model: nnx.Module) -> Outline:
    """The model's modules in order of definition; its leaves may be shapes only, as `nnx.eval_shape` makes them.

    A model that was split and merged, as by `nnx.eval_shape`, has lost the order: the root's config says `sorted`, and
    then it takes names, numbers or shapes to tell modules apart. `outline_made_by` keeps it.

    What is neither `nnx.Param` nor the state of a random stream is a buffer. A variable under two names is first held
    where `nnx.state` has it.
    """
    modules: list[Module] = []
    held: dict[int, list[str]] = {}
    for path, node in _nodes((), model):
        parameters: Shapes = {}
        buffers: Shapes = {}
        for own, variable in _entries(node):
            if isinstance(variable, nnx.Variable) and not isinstance(variable, nnx.RngState):
                shape = tuple(variable.get_value().shape)
                (parameters if isinstance(variable, nnx.Param) else buffers)[own] = shape
                held.setdefault(id(variable), []).append(".".join((*path, own)))
        modules.append(Module(".".join(path), type(node).__name__, parameters, buffers, _config(node)))
    state = {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(model))}
    tied: dict[str, str] = {}
    for names in held.values():
        first = next(name for name in names if name in state)
        tied |= {name: first for name in names if name != first}
    if all(_is_sorted(node) for _, node in _nodes((), model)):
        modules[0].config["sorted"] = True
    return Outline("jax", tuple(modules), tied)


def outline_made_by(make: Callable[[], nnx.Module]) -> Outline:
    """The outline of the model that `make` makes, in order of definition, without drawing its numbers."""
    found = []

    def watched() -> nnx.Module:
        model = make()
        found.append(outline(model))
        return model

    nnx.eval_shape(watched)
    return found[0]


def _is_sorted(node: object) -> bool:
    names = [name for name, _ in _entries(node)]
    return names == sorted(names) or not isinstance(node, nnx.Pytree) or isinstance(node, nnx.List)


def _nodes(path: tuple[str, ...], node: object) -> Iterator[tuple[tuple[str, ...], object]]:
    yield path, node
    for own, child in _entries(node):
        if isinstance(child, nnx.Pytree | Mapping | list | tuple) and not isinstance(child, nnx.Variable | nnx.Rngs):
            if not isinstance(child, nnx.Pytree) and not _holds(child):
                continue
            yield from _nodes((*path, own), child)


def _entries(node: object) -> list[tuple[str, Any]]:
    if isinstance(node, Mapping):
        return [(str(key), value) for key, value in node.items()]
    if isinstance(node, list | tuple):
        return [(str(index), value) for index, value in enumerate(node)]
    return [(name, value) for name, value in vars(node).items() if not name.startswith("_pytree__")]


def _holds(value: object) -> bool:
    """Whether a plain container of a module's holds variables or modules, and not settings."""
    if isinstance(value, nnx.Variable | nnx.Pytree):
        return True
    return isinstance(value, Mapping | list | tuple) and any(_holds(inner) for _, inner in _entries(value))


def _config(node: object) -> dict[str, Any]:
    config: dict[str, Any] = {name: value for name in SETTINGS if isinstance(value := getattr(node, name, None), int)}
    cls = type(node)
    if not _is_flaxs(cls):
        base = next(filter(_is_flaxs, cls.__mro__), nnx.Module)
        config["built_on"] = "" if base in (nnx.Module, linen.Module) else base.__name__
    return config


def _is_flaxs(cls: type) -> bool:
    return cls.__module__.startswith(("flax.nnx.", "flax.linen.")) and issubclass(cls, nnx.Pytree | linen.Module)


def outline_of_collections(
    collections: Mapping[str, Any], called: Mapping[str, linen.Module] = MappingProxyType({})
) -> Outline:
    """The outline of arrays in trees by the name of their collection, in no order that says anything.

    `called` has the modules by their path that hold them, which tell the kinds of layers; in other trees nobody does.

    They become one tree, in which no collection has a name: as Linen has its variables, the parameters are in `params`,
    and what is in other collections is a buffer. A dot in a key divides it.

    Raises:
        NotCheckable: two collections have an array of one name, or there is no parameter.
    """
    found: dict[str, tuple[Shapes, Shapes]] = {"": ({}, {})}
    for collection, tree in collections.items():
        for name, leaf in named_leaves(tree):
            *path, own = name.split(".")
            for depth in range(len(path) + 1):
                found.setdefault(".".join(path[:depth]), ({}, {}))
            parameters, buffers = found[".".join(path)]
            if own in parameters | buffers:
                raise NotCheckable(f"two collections of the JAX variables have an array {name}")
            group = parameters if collection == PARAMETERS else buffers
            group[own] = tuple(leaf.shape)
    if not any(parameters for parameters, _ in found.values()):
        raise NotCheckable("the jax side's model has no parameters")
    modules = []
    for name, (parameters, buffers) in found.items():
        kind, config = (type(called[name]).__name__, _config(called[name])) if name in called else ("", {})
        modules.append(Module(name, kind, parameters, buffers, config))
    if called:
        modules[0].config["sorted"] = True
    return Outline("jax", tuple(modules), {})
