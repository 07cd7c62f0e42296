"""What a user tells the map, one line an entry, read strictly before anything is searched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from parity.errors import NotCheckable
from parity.weight_map.how import WORDS, How
from parity.weight_map.outline import Outline

LEFT_OUT = "left out"


@dataclass
class Told:
    """The overrides, sorted: for arrays their JAX leaf and how they are laid out, for modules their JAX module."""

    leaves: dict[str, str] = field(default_factory=dict)
    how: dict[str, How] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def parse(overrides: Mapping[str, str], torch: Outline, jax: Outline) -> Told:
    """Read the overrides.

    Raises:
        NotCheckable: a name that neither model has, a line that is not in the grammar, a JAX name given twice.
    """
    told, faults = Told(), []
    tensors, leaves = dict(torch.arrays()), dict(jax.arrays())
    modules = [{module.name for module in outline.modules} - {""} for outline in (torch, jax)]
    for name, line in overrides.items():
        if name in tensors:
            fault = _array(told, torch.tied.get(name, name), line, leaves, jax.tied)
        elif name in modules[0]:
            told.modules[name] = line
            fault = "" if line in modules[1] else f"JAX has no module {line!r}"
        else:
            fault = "torch has neither a tensor nor a module of that name"
        faults += [f'"{name}": "{line}": {fault}'] if fault else []
    doubled = [leaf for leaf, count in Counter([*told.leaves.values(), *told.modules.values()]).items() if count > 1]
    faults += [f"{leaf} is given to more than one" for leaf in doubled]
    if faults:
        raise NotCheckable(f"overrides of the weight map: {'; '.join(faults)}")
    return told


def _array(told: Told, name: str, line: str, leaves: Mapping[str, object], tied: Mapping[str, str]) -> str:
    """What is wrong with the line of one torch tensor; empty where nothing is."""
    if line == LEFT_OUT:
        told.left_out.append(name)
        return ""
    path, colon, words = line.partition(": ")
    how = How.parse(words if colon else line)
    if how is not None:
        told.how[name] = how
    elif colon:
        return f"expected the leaf's path, and behind it one of {WORDS}"
    if colon or how is None:
        if path not in leaves:
            return (
                f"JAX has no leaf {path!r}: expected its path, one of {WORDS}, both as in path: transpose, or left out"
            )
        told.leaves[name] = tied.get(path, path)
    return ""
