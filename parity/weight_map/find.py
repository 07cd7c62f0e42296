"""Find the weight map of two models from their outlines."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import inf, prod
from types import MappingProxyType

from parity.errors import NotCheckable
from parity.weight_map.alignment import Alignment
from parity.weight_map.flatten import flattened
from parity.weight_map.given import uncovered
from parity.weight_map.kinds import ATTENTION, CELL, EMBEDDING, NORM, UNKNOWN, family, framework_class, has_channels
from parity.weight_map.layouts import Layouts
from parity.weight_map.levels import unwrapped
from parity.weight_map.looks_stacked import of_stacked
from parity.weight_map.names import role
from parity.weight_map.offered import offered
from parity.weight_map.other_kind import of_other_kind
from parity.weight_map.outline import Outline
from parity.weight_map.overrides import Told, parse
from parity.weight_map.own import Owned
from parity.weight_map.stacked import Unstacked, unstacked
from parity.weight_map.tree import Node, tree
from parity.weight_map.unfit import NotFound
from parity.weight_map.weight_map import Apart, Layer, WeightMap, held_alone


def find(torch: Outline, jax: Outline, overrides: Mapping[str, str] = MappingProxyType({})) -> WeightMap:
    """The weight map of two models, from the types, names, order and shapes of their layers.

    `overrides` tells what cannot be found, by torch name: a tensor's leaf, its layout or both ("head.kernel",
    "as is", "fc.kernel: flatten 64 7 7"), a module's JAX module ("enc"), or that a
    parameter fixed at zero is "left out".

    Where no such map is found, JAX leaves that hold several layers, as a scan over layers has them, are taken apart,
    and the overrides name what is in a layer by its number, as in "blocks.0.head.kernel".

    Raises:
        NotCheckable: an override is wrong; an array has no counterpart, or may have several, or may become it in
            several ways. All are named, with the override to write.
    """
    try:
        return _found(torch, jax, overrides, {})
    except NotCheckable as error:
        apart = unstacked(torch, jax, partial(_left, torch, overrides), overrides)
        if not apart.stacks:
            raise error from None
    try:
        return apart.back(_found(torch, apart.outline, overrides, apart.leaf_of))
    except NotCheckable as error:
        raise NotCheckable("; ".join([str(error), *apart.listed])) from None


def _left(torch: Outline, overrides: Mapping[str, str], jax: Unstacked) -> float:
    """The fewest numbers left without a counterpart, with the overrides or without."""
    return min(_left_by(torch, jax, told) for told in (overrides, {}))


def _left_by(torch: Outline, jax: Unstacked, overrides: Mapping[str, str]) -> float:
    try:
        _found(torch, jax.outline, overrides, jax.leaf_of)
    except NotFound as error:
        return error.left
    except NotCheckable:
        return inf
    return 0


def _found(
    torch: Outline, jax: Outline, overrides: Mapping[str, str], leaf_of: Mapping[str, str]
) -> WeightMap:  # fmt: skip
    """The map of two models that have a module for each layer, `leaf_of` as `Alignment` has it."""
    told = parse(overrides, torch, jax)
    names = _one_holder(torch) | dict.fromkeys(told.left_out)
    roots = tree(torch, names, jax), tree(jax, _one_holder(jax))
    alignment = Alignment(Layouts(told.how, flattened(torch)), _ordered(jax), leaf_of)
    _align_what_was_told(alignment, told, *roots)
    # Where one model is a single layer, the other may wrap its counterpart.
    alignment.align(*(map(unwrapped, roots) if _is_layer(roots[0]) != _is_layer(roots[1]) else roots))
    alignment.finish()
    apart = _apart(alignment, torch, told)
    if faults := _faults(alignment, torch, jax) or _unmapped(alignment, apart, torch, jax):
        lost = sum(prod(owned.leaf.part.shape) for side in _left_over(alignment) for owned in side)
        raise NotFound(f"the weight map cannot be found: {'; '.join(faults)}", lost)
    order = {name: index for index, (name, _) in enumerate(torch.arrays())}
    entries = sorted(alignment.entries, key=lambda entry: (order[entry.torch.name], entry.torch.start))
    return WeightMap(tuple(entries), alignment.listed, _layers(alignment, torch, jax), apart, tuple(alignment.by_order))


def _is_layer(root: Node) -> bool:
    """Whether a model has parameters of its own, or nothing below it. A buffer beside its layers makes it none."""
    return any(not leaf.buffer for leaf in root.leaves) or (bool(root.leaves) and root.all_leaves() == root.leaves)


def _ordered(jax: Outline) -> bool:
    """Whether the modules come in order of definition: not in a plain tree, nor where Flax has sorted the names."""
    return any(module.kind for module in jax.modules) and not jax.modules[0].config.get("sorted", False)


def _one_holder(outline: Outline) -> dict[str, str | None]:
    """For arrays under several names: the one place where the search meets them, an embedding where there is one."""
    names: dict[str, str | None] = {}
    for first in dict.fromkeys(outline.tied.values()):
        group = [name for name, _ in outline.arrays() if outline.tied.get(name, name) == first]
        kinds = {m.name: family(m.kind, m.config) for m in outline.modules}
        embeddings = [name for name in group if kinds[name.rpartition(".")[0]] == EMBEDDING]
        names |= dict.fromkeys(group) | {(embeddings or group)[0]: first}
    return names


def _align_what_was_told(alignment: Alignment, told: Told, torch: Node, jax: Node) -> None:
    """First what the user has told, which is then out of the way."""
    modules = dict(told.modules)
    for name, path in told.leaves.items():
        pair = _taken(torch, name), _taken(jax, path)
        alignment.add(*pair)
        of, jax_of = pair[0].node, pair[1].node
        # What else is in a layer follows, if anything is; a module of the user's own may hold anything.
        follows = bool(of.leaves) == bool(jax_of.leaves)
        if of.path and jax_of.path and UNKNOWN not in (of.family, jax_of.family) and follows:
            modules.setdefault(of.path, jax_of.path)
    pairs = [(_node(torch, name), _node(jax, path)) for name, path in modules.items()]
    for root, nodes in ((torch, [t for t, _ in pairs]), (jax, [j for _, j in pairs])):
        for node in list(root.all()):
            node.children = [child for child in node.children if not any(child is other for other in nodes)]
    for of, jax_of in pairs:
        alignment.align(of, jax_of)


def _taken(root: Node, name: str) -> Owned:
    """An array, taken out of its layer."""
    holders = [Owned(leaf, node) for node in root.all() for leaf in node.leaves if leaf.part.name == name]
    if len(holders) != 1 or holders[0].leaf.part.axis is not None:
        raise NotCheckable(
            f"overrides of the weight map: {name} belongs to several layers: override its module instead"
        )
    leaf, node = holders[0]
    node.leaves = [other for other in node.leaves if other is not leaf]
    node.told = True
    return holders[0]


def _node(root: Node, path: str) -> Node:
    found = next((node for node in root.all() if node.path == path), None)
    if found is None:
        raise NotCheckable(f"overrides of the weight map: {path} is a part of the layer around it: override that")
    return found


def _apart(alignment: Alignment, torch: Outline, told: Told) -> Apart:
    """Take out of what is left what may stand on one side only, and list it."""
    of_torch = [o.leaf.part.name for o in alignment.torch if o.leaf.buffer and _may_be_alone(o)]
    unkept = _beside_norms_without_statistics(alignment, torch)
    of_jax = [o.leaf.part.name for o in alignment.jax if o.leaf.buffer and (_may_be_alone(o) or o.node.path in unkept)]
    alignment.torch = [o for o in alignment.torch if o.leaf.part.name not in of_torch]
    alignment.jax = [o for o in alignment.jax if o.leaf.part.name not in of_jax]
    alignment.listed += [held_alone("torch", name) for name in of_torch]
    alignment.listed += [held_alone("jax", name) for name in of_jax]
    alignment.listed += [f"{name} is left out, and must stay zero" for name in told.left_out]
    alignment.listed += [f"{name} is {first}" for name, first in torch.tied.items()]
    return Apart(tuple(of_torch), tuple(of_jax), tuple(told.left_out), dict(torch.tied))


def _may_be_alone(owned: Owned) -> bool:
    """Counters, masks and caches; the statistics of a norm may not, nor may what is a parameter of torch's."""
    return not owned.leaf.still and (role(owned.leaf.own) == "counter" or owned.node.family != NORM)


def _beside_norms_without_statistics(alignment: Alignment, torch: Outline) -> set[str | None]:
    """The JAX modules that stand for a batch norm of torch's with `track_running_stats=False`: Flax's keeps them."""
    keep = {module.name for module in torch.modules if module.buffers}
    return {
        jax.path for of, jax in alignment.layers
        if "BatchNorm" in framework_class(of.kind, of.config) and of.path not in keep
    }  # fmt: skip


def _left_over(alignment: Alignment) -> tuple[list[Owned], list[Owned]]:
    """The arrays of both models that are without a counterpart."""
    return alignment.torch + alignment.lost_torch, alignment.jax + alignment.lost_jax


def _faults(alignment: Alignment, torch: Outline, jax: Outline) -> list[str]:
    faults = list(alignment.undecided)
    left = _left_over(alignment)
    of_torch, of_jax = ([owned.leaf.part for owned in side] for side in left)
    for parts, whose in ((of_torch, "no JAX leaf for "), (of_jax, "no torch tensor for ")):
        if parts:
            faults.append(whose + ", ".join(dict.fromkeys(map(str, parts))))
    faults += offered(alignment.layouts, *left) + ([] if alignment.leaf_of else of_stacked(of_torch, of_jax))
    faults += of_other_kind(torch, jax, {part.name for part in (*of_torch, *of_jax)})
    if of_torch or of_jax:
        for outline in (torch, jax):
            tied = ", ".join(f"{name} is {first}" for name, first in outline.tied.items())
            faults += [f"tied on the {outline.framework} side: {tied}"] if tied else []
    return faults or alignment.assumed


def _unmapped(alignment: Alignment, apart: Apart, torch: Outline, jax: Outline) -> list[str]:
    """A last look, whatever the search has done: every array of both models is in an entry, or stands apart."""
    sides = (torch, {entry.torch.name for entry in alignment.entries}), (jax, {e.jax.name for e in alignment.entries})
    return [
        f"no counterpart for {', '.join(missing)} of {outline.framework}"
        for outline, mapped in sides if (missing := uncovered(outline, mapped, apart))
    ]  # fmt: skip


def _layers(alignment: Alignment, torch: Outline, jax: Outline) -> dict[str, Layer]:
    kinds = {module.name: framework_class(module.kind, module.config) for module in jax.modules}
    channels = {module.name for module in torch.modules if has_channels(module.kind, module.config)}
    layers = {}
    for of, jax_of in alignment.layers:
        path = jax_of.path
        if of.path is None or path is None or not (of.leaves or of.told or of.family == ATTENTION):
            continue
        if of.family == CELL and not of.kind.endswith("Cell"):
            # torch's layer is called once a sequence, as `nnx.RNN` is, and its cell once a step.
            path = path.rpartition(".")[0]
            if kinds.get(path) != "RNN":
                continue
        layers[path] = Layer(of.path, of.path in channels)
    return layers
