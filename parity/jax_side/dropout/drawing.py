"""Whether a compiled function draws random numbers, by a stream of Flax's or `jax.random`, or repeats a dropout."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

from parity.jax_side.dropout.repeated import check_masks, programs_in
from parity.jax_side.dropout.torch_masks import settled

PRIMITIVES = frozenset({"random_bits", "rng_bit_generator", "rng_uniform"})
"""What JAX draws with. Keys are made, divided and handed on without them."""


def compiled(
    function: Callable[..., Any], drew: Callable[[], None], static: tuple[str, ...] = ()
) -> Callable[..., Any]:
    """`function`, compiled; `drew` is called after every compilation in which it draws.

    Raises:
        NotCheckable: when it is called and has a dropout inside a loop, of which several turns get one mask.
    """
    traced = False

    @wraps(function)
    def tracing(*given: Any, **named: Any) -> Any:
        nonlocal traced
        traced = True
        return function(*given, **named)

    fast = jax.jit(tracing, static_argnames=static)
    run = settled(fast)

    def call(*given: Any, **named: Any) -> Any:
        nonlocal traced
        found = run(*given, **named)
        if traced:
            # What was traced for the call is kept, and not traced again.
            program = fast.trace(*given, **named).jaxpr
            if _draws(program):
                drew()
            traced = False
            check_masks(program)
        return found

    return call


def _draws(program: ClosedJaxpr | Jaxpr) -> bool:
    """Whether a traced program draws random numbers, in its loops and branches too."""
    return any(
        equation.primitive.name in PRIMITIVES or any(map(_draws, programs_in(equation))) for equation in program.eqns
    )
