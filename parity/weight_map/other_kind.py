"""Arrays that one model trains and the other keeps as a buffer, for which no map can be found."""

from __future__ import annotations

from collections.abc import Callable, Collection

from parity.errors import listing
from parity.pair.frozen import declaration_of
from parity.weight_map.names import role
from parity.weight_map.outline import Module, Outline, Shapes

SAME = "make it the same on both sides; a parameter with requires_grad off is a buffer, too, unless `frozen` names it"


def of_other_kind(torch: Outline, jax: Outline, left: Collection[str]) -> list[str]:
    """One line each for what is `left` without a counterpart, where the one such array is of that kind."""
    found = [
        f"torch holds {kept} as a buffer, the jax side trains {trained}"
        for kept, trained in _alike(torch, _buffers, jax, _parameters)
        if {kept, trained} & {*left}
    ] + [
        f"the jax side holds {kept} as a buffer, torch trains {trained}"
        for trained, kept in _alike(torch, _parameters, jax, _buffers)
        if {kept, trained} & {*left}
    ]
    return [*found, SAME, *_still(torch, left)] if found else _still(torch, left)


def _still(torch: Outline, left: Collection[str]) -> list[str]:
    """What is said of parameters with `requires_grad` off that are `left`."""
    trained = {module.full(own) for module in torch.modules for own in module.parameters}
    if not (found := sorted(torch.still & {*left})):
        return []
    return [
        f"torch has requires_grad off of {listing(found, 3)}: they go with what the jax side holds as buffers, such as "
        f"nnx.Variables that are no nnx.Params{declaration_of(torch.still, torch.still | trained)}"
    ]


def _parameters(module: Module) -> Shapes:
    return module.parameters


def _buffers(module: Module) -> Shapes:
    """Of what is still more is told."""
    return {own: shape for own, shape in module.buffers.items() if own not in module.still}


_Held = Callable[[Module], Shapes]


def _alike(torch: Outline, held: _Held, jax: Outline, jax_held: _Held) -> list[tuple[str, str]]:
    """Pairs of arrays of one role and shape, each the only one of its model."""
    sides = [
        [(module.full(own), (role(own), shape)) for module in outline.modules for own, shape in kind(module).items()]
        for outline, kind in ((torch, held), (jax, jax_held))
    ]
    looks = [[look for _, look in side] for side in sides]
    return [
        (name, other)
        for name, look in sides[0]
        for other, other_look in sides[1]
        if look == other_look and looks[0].count(look) == looks[1].count(look) == 1
    ]
