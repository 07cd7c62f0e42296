"""The overrides that a refusal offers at once, which nobody can paste where two would fit."""

from __future__ import annotations

import re

import pytest

from parity.errors import NotCheckable
from parity.weight_map.find import find
from parity.weight_map.outline import Outline
from parity.weight_map.weight_map import WeightMap
from parity_tests.parity.weight_map.made_outlines import Layer, jax_tree, linear, plain, torch


def leaves(weights: WeightMap) -> dict[str, str]:
    return {entry.torch.name: entry.jax.name for entry in weights.entries}


def refusal(of_torch: Outline, of_jax: Outline, told: dict[str, str] | None = None) -> str:
    with pytest.raises(NotCheckable) as error:
        find(of_torch, of_jax, told or {})
    return str(error.value)


def block(said: str) -> dict[str, str]:
    """The overrides that are offered."""
    return dict(re.findall(r'"([\w.]+)": "([^"]+)"', said.partition("if one stands for the other")[2]))


UNLIKE = torch({"fc1": linear(5, 8), "fc2": linear(8, 7), "fc3": linear(7, 3)})
FLAT = jax_tree({"": plain(theta=(5, 8), gamma=(8, 7), zeta=(7, 3), a=(8,), b=(7,), c=(3,))})


def test_names_of_ones_own_are_offered_in_one_block_that_can_be_pasted() -> None:
    said = refusal(UNLIKE, FLAT)
    assert " | " not in said
    found = find(UNLIKE, FLAT, block(said))
    assert leaves(found) == {
        "fc1.weight": "theta", "fc1.bias": "a", "fc2.weight": "gamma", "fc2.bias": "b", "fc3.weight": "zeta",
        "fc3.bias": "c",
    }  # fmt: skip


ALIKE = torch({"query": linear(5, 8), "key": linear(5, 8), "out": linear(8, 3)})
OWN = jax_tree({"": plain(w_q=(5, 8), w_k=(5, 8), w_o=(8, 3), b1=(8,), b2=(8,), b3=(3,))})


def test_where_two_fit_both_are_offered_and_neither_is_taken() -> None:
    said = refusal(ALIKE, OWN)
    offered = block(said)
    assert offered == {
        "query.weight": "w_q | w_k", "query.bias": "b1 | b2", "key.weight": "w_q | w_k", "key.bias": "b1 | b2",
        "out.weight": "w_o", "out.bias": "b3",
    }  # fmt: skip
    assert said.endswith("of what a | parts the one that is it")
    assert "JAX has no leaf 'w_q | w_k'" in refusal(ALIKE, OWN, offered)
    for first, last in ((0, -1), (-1, 0)):
        chosen = {n: line.split(" | ")[first if n.startswith("query") else last] for n, line in offered.items()}
        assert leaves(find(ALIKE, OWN, chosen)) == chosen


def test_what_may_be_laid_out_either_way_is_offered_in_both() -> None:
    of_torch = torch({"a": linear(5, 5), "b": linear(5, 3)})
    of_jax = jax_tree({"": plain(u=(5, 5), v=(5, 3), w=(5,), x=(3,))})
    offered = block(refusal(of_torch, of_jax))
    assert offered == {"a.weight": "u: as is | u: transpose", "a.bias": "w", "b.weight": "v", "b.bias": "x"}
    assert "expected the leaf's path" in refusal(of_torch, of_jax, offered)
    assert leaves(find(of_torch, of_jax, offered | {"a.weight": "u: transpose"}))["a.weight"] == "u"


def test_what_is_the_only_one_for_another_is_not_offered_twice() -> None:
    scale: Layer = ("RMSNorm", {"weight": (6,)}, {}, {})
    of_torch = torch({"fc": linear(2, 3), "norm": scale})
    of_jax = jax_tree({"": plain(own=(6,), more=(2, 3), other=(3,))})
    assert block(refusal(of_torch, of_jax)) == {"fc.weight": "more", "fc.bias": "other", "norm.weight": "own"}


@pytest.mark.parametrize(("count", "offers"), [(4, True), (5, False)])
def test_among_many_none_is_offered(count: int, offers: bool) -> None:
    of_torch = torch({f"layer{number}": linear(5, 8) for number in range(count)} | {"out": linear(8, 3)})
    own = {f"w_{number}": (5, 8) for number in range(count)} | {f"b_{number}": (8,) for number in range(count)}
    offered = block(refusal(of_torch, jax_tree({"": plain(**own, v=(8, 3), c=(3,))})))
    assert {"out.weight": "v", "out.bias": "c"}.items() <= offered.items()
    assert len(offered) == 2 + 2 * count * offers
