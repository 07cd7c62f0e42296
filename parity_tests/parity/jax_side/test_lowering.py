"""Numbers in fewer bits are seen before the first result that rests on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parity.jax_side.lowering import lowered_before

TABLE = np.arange(3, dtype=np.float32)


@pytest.fixture(autouse=True)
def _x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def seen(*where: str, change: Callable[[jax.Array], jax.Array]) -> list[str]:
    """The results a, b and c, one made of the other, before which something is changed."""

    def program(x: jax.Array) -> list[jax.Array]:
        found = []
        for name in "abc":
            x = 2 * (change(x) if name in where else x)
            found.append(x)
        return found

    return lowered_before(jax.make_jaxpr(program)(jnp.ones(3)), "abc")


def scanned(x: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda carry, _: (carry.astype(jnp.float32).astype(carry.dtype), None), x, length=2)[0]


CHANGES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "cast": lambda x: x.astype(jnp.float32).astype(x.dtype),
    "bfloat16": lambda x: x.astype(jnp.bfloat16).astype(x.dtype),
    "table": lambda x: x * jnp.cos(jnp.arange(3, dtype=jnp.float32)),
    "constant": lambda x: x * jnp.asarray(TABLE),
    "compiled": lambda x: jax.jit(lambda y: y.astype(jnp.float32).astype(y.dtype))(x),
    "loop": scanned,
    "branch": lambda x: jax.lax.cond(x[0] > 0, lambda y: y.astype(jnp.float32).astype(y.dtype), lambda y: y, x),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_each_counts_for_the_first_result_that_rests_on_it(kind: str) -> None:
    change = CHANGES[kind]
    assert seen("a", change=change) == ["a"]
    assert seen("b", change=change) == ["b"]
    assert seen("a", "c", change=change) == ["a", "c"]


def test_a_table_that_is_made_first_counts_where_it_is_used_first() -> None:
    def program(x: jax.Array) -> list[jax.Array]:
        table = jnp.cos(jnp.arange(3, dtype=jnp.float32)).astype(x.dtype)
        return [2 * x, 2 * x * table, 4 * x * table]

    assert lowered_before(jax.make_jaxpr(program)(jnp.ones(3)), "abc") == ["b"]


def test_float64_whole_numbers_and_what_is_given_through_are_none() -> None:
    assert seen("a", "b", "c", change=lambda x: x * jnp.arange(3) + (x > 0)) == []
    assert lowered_before(jax.make_jaxpr(lambda x: [x, 1.0])(jnp.ones(3)), "ab") == []
