"""Parameters that a pair declares frozen: no step of training may move them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from parity.errors import NotCheckable, listing
from parity.weight_map.outline import Outline


def frozen_of(patterns: Sequence[str], outline: Outline) -> frozenset[str]:
    """The parameters of torch's model that the patterns mean; a tied one by its first name, whichever matches.

    Raises:
        NotCheckable: a pattern means none, or together they mean all.
    """
    names = [module.full(own) for module in outline.modules for own in module.parameters]
    found: set[str] = set()
    for pattern in patterns:
        meant = {outline.tied.get(name, name) for name in names if fnmatchcase(name, pattern)}
        if not meant:
            raise NotCheckable(
                f"frozen: {pattern!r} is no parameter of the torch side's model: it has {listing(names, 3)}; "
                "* stands for any part of a name"
            )
        found |= meant
    if found == {outline.tied.get(name, name) for name in names}:
        raise NotCheckable("frozen: every parameter is, so that nothing would be trained: leave out the stages of that")
    return frozenset(found)


def declaration_of(still: Collection[str], parameters: Collection[str]) -> str:
    """The declaration that means just the parameters that stood still; empty where it would mean all.

    A module is named as a whole where all of it stood still.
    """
    if set(still) == set(parameters):
        return ""
    found = dict.fromkeys(_widest(name, still, parameters) for name in still)
    patterns = ", ".join(f'"{pattern}"' for pattern in found)
    return f"; if no step is to move them, declare that in the pair: frozen=({patterns}{',' * (len(found) == 1)})"


def _widest(name: str, still: Collection[str], parameters: Collection[str]) -> str:
    parts = name.split(".")
    for depth in range(1, len(parts)):
        module = ".".join(parts[:depth])
        inside = [other for other in parameters if other.startswith(f"{module}.")]
        if len(inside) > 1 and set(inside) <= set(still):
            return f"{module}.*"
    return name
