"""The outline of an `nnx.Module`, of Linen's variables and of a plain tree of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
from flax import nnx

from parity.errors import NotCheckable
from parity.weight_map.outline import Module, Outline, Shapes

SETTINGS = ("feature_group_count", "transpose_kernel", "num_heads")
"""Settings of Flax's layers that decide how their arrays are laid out."""


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
        config["built_on"] = "" if base is nnx.Module else base.__name__
    return config


def _is_flaxs(cls: type) -> bool:
    return cls.__module__.startswith("flax.nnx.") and issubclass(cls, nnx.Pytree)


def outline_of_tree(tree: Any) -> Outline:
    """The outline of arrays in any tree that JAX knows, whose layers' kinds nobody tells.

    Linen's variables (`{"params": ..., "batch_stats": ...}`) become one tree: what is not in `params` is a buffer, and
    the name of the collection is in no path.

    Raises:
        NotCheckable: two collections have an array of one name, or there is no array.
    """
    collections = _collections(tree)
    found: dict[str, tuple[Shapes, Shapes]] = {"": ({}, {})}
    for collection, inner in collections.items():
        for keys, leaf in jax.tree_util.tree_flatten_with_path(inner)[0]:
            if not hasattr(leaf, "shape"):
                continue
            *path, own = map(_segment, keys) if keys else ("array",)
            for depth in range(len(path) + 1):
                found.setdefault(".".join(path[:depth]), ({}, {}))
            group = found[".".join(path)]
            if own in group[0] | group[1]:
                raise NotCheckable(f"two collections of the JAX variables have an array {'.'.join((*path, own))}")
            group[collection != "params"][own] = tuple(leaf.shape)
    if not any(group[0] for group in found.values()):
        raise NotCheckable(f"the JAX side has no parameters in what was given as its tree, a {type(tree).__name__}")
    return Outline("jax", tuple(Module(name, "", *group, {}) for name, group in found.items()), {})


def _collections(tree: Any) -> dict[str, Any]:
    """Linen's collections by name; anything else is all parameters."""
    if isinstance(tree, Mapping) and "params" in tree and all(isinstance(inner, Mapping) for inner in tree.values()):
        return {"params": tree["params"], **tree}
    return {"params": tree}


def _segment(key: Any) -> str:
    """The name that a path has for one step into a tree."""
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
