"""How parameters that nothing moves are declared frozen, in words."""

from __future__ import annotations

from collections.abc import Collection


def offered(still: Collection[str], parameters: Collection[str]) -> str:
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
