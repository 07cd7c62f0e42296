"""What is called in the turns of loops, told by a pass of a model that is filled with numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from parity.jax_side.place import Place
from parity.jax_side.stacks.stacked import Stacked, are_numbers, numbers

Token = tuple[int, ...]
"""Which loop or layer it is: its count among those of a pass or, behind those of the loops and turns around it, of a
turn."""


class Marks(NamedTuple):
    """The smallest and the largest number in what is called: of the arrays of each layer, and of those of each turn.

    `turns` has what is called in the turns of a loop, of all turns together.
    """

    layers: dict[Token, dict[str, Any]]
    loops: dict[Token, list[Any]]
    turns: dict[Token, Marks]

    def flat(self) -> Marks:
        """With what is called in each turn by itself."""
        found = Marks({**self.layers}, {**self.loops}, {})
        for token, inside in self.turns.items():
            for turn in range(max((len(leaf) for leaf in jax.tree.leaves(inside)), default=0)):
                one = jax.tree.map(lambda ends, turn=turn: ends[turn], inside).flat()
                found.layers.update({(*token, turn, *inner): held for inner, held in one.layers.items()})
                found.loops.update({(*token, turn, *inner): ends for inner, ends in one.loops.items()})
        return found


class Known(NamedTuple):
    """Which layer is called where, and which loops are over layers."""

    places: dict[Token, Place | None]
    loops: frozenset[Token]


def ends(array: jax.Array, before: int) -> jax.Array:
    """The smallest and the largest number of an array, for each place along the axes that stand `before`."""
    axes = tuple(range(before, array.ndim))
    return jnp.stack([array.min(axes), array.max(axes)], axis=-1).astype(jnp.float32)


def known_by(stacked: Stacked, told: list[Marks]) -> Known:
    """What passes tell, one for each digit of the numbers that the model is filled with.

    A loop is over layers where it goes over their arrays, where it calls another layer in each turn, or where such a
    loop is in it.
    """
    digits = [marks.flat() for marks in told]
    places = {
        token: stacked.place({own: numbers([marks.layers[token][own] for marks in digits])[0] for own in held})
        for token, held in digits[0].layers.items()
    }
    # What is in turns of turns comes first.
    loops: set[Token] = set()
    for token, leaves in sorted(digits[0].loops.items(), key=lambda item: -len(item[0])):
        if _has_a_layer_a_turn(token, places):
            loops.add(token)
        for index in range(len(leaves)):
            found = [marks.loops[token][index] for marks in digits]
            if all(map(stacked.is_one, numbers(found))) or (_any_in(token, loops) and are_numbers(found)):
                loops.add(token)
    return Known(places, frozenset(loops))


def _any_in(loop: Token, tokens: Iterable[Token]) -> bool:
    return any(token[: len(loop)] == loop for token in tokens)


def _has_a_layer_a_turn(loop: Token, places: Mapping[Token, Place | None]) -> bool:
    """Whether other layers are called in each turn, as where they are taken out of the stack there."""
    turns: dict[int, set[str]] = defaultdict(set)
    for token, place in places.items():
        if place is not None and token[: len(loop)] == loop:
            turns[token[len(loop)]].add(place.name)
    return bool(turns) and sum(map(len, turns.values())) == len(set().union(*turns.values()))
