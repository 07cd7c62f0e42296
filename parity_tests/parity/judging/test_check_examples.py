"""A JAX side that goes through examples, experts and branches in its own way: each dropout has torch's mask of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from torch import Tensor, nn

from parity import Pair, check, random_batches, tap
from parity.errors import NotCheckable
from parity.golden.check import check_against, write_golden
from parity.verdict import Verdict
from parity_tests.parity.judging.test_check_modules import first_of
from parity_tests.parity.scanned_jax import cross_entropy, layer, linear

pytestmark = pytest.mark.usefixtures("compiled_quickly")

EXAMPLES, FEATURES, WIDTH, CLASSES, BLOCKS = 6, 5, 8, 3, 3
INSIDE, BEHIND = 0.5, 0.25


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix, self.inside, self.behind = nn.Linear(WIDTH, WIDTH), nn.Dropout(INSIDE), nn.Dropout(BEHIND)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.behind(self.mix(self.inside(torch.tanh(x))))
        return found


class Net(nn.Module):
    """Goes through its blocks one after another; through experts, whose sum it takes; or through one block or none."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.embed, self.head = nn.Linear(FEATURES, WIDTH), nn.Linear(WIDTH, CLASSES)
        self.blocks: Any = nn.ModuleList(Block() for _ in range(1 if kind == "branches" else BLOCKS))
        self.last = nn.Dropout(INSIDE)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.embed(inputs)
        if self.kind == "experts":
            x = sum(expert(x) for expert in self.blocks)
        elif self.kind == "branches":
            x = self.blocks[0](x) if x.sum() > 0 else self.blocks[0].behind(x)
        else:
            for of_stack in self.blocks:
                x = of_stack(x)
        found: Tensor = self.head(self.last(x))
        return found


def torch_loss(model: Any, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(model(batch["inputs"]), batch["labels"])


OUT_OF_SIGHT = partial(jax.lax.cond)
"""Where nothing can stand in for it."""
Way = Callable[[Any, jax.Array, jax.Array], jax.Array]
"""The output, from parameters, inputs and a key."""


def drop(key: jax.Array, x: jax.Array, rate: float) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def block(of: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    inside, behind = jax.random.split(key)
    return x + drop(behind, linear(drop(inside, jnp.tanh(x), INSIDE), of["mix"]), BEHIND)


def last(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    return linear(drop(key, x, INSIDE), p["head"])


def whole(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    """Of one example or of a batch, block after block."""
    *keys, behind = jax.random.split(key, BLOCKS + 1)
    x = linear(x, p["embed"])
    for index, own in enumerate(keys):
        x = block(jax.tree.map(lambda a, index=index: a[index], p["blocks"]), x, own)
    return last(p, x, behind)


def scanned(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    keys = jax.random.split(key, BLOCKS + 1)
    x, _ = jax.lax.scan(lambda x, of: (block(of[0], x, of[1]), None), linear(x, p["embed"]), (p["blocks"], keys[1:]))
    return last(p, x, keys[0])


def experts(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    keys = jax.random.split(key, BLOCKS + 1)
    return last(p, jax.vmap(block, (0, None, 0))(p["blocks"], linear(x, p["embed"]), keys[1:]).sum(0), keys[0])


def by_vmap(one: Way) -> Way:
    return lambda p, x, key: jax.vmap(one, (None, 0, 0))(p, x, jax.random.split(key, len(x)))


def by_map(one: Way, reverse: bool = False) -> Way:
    def way(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
        def turn(_: None, given: Any) -> Any:
            return None, one(p, *given)

        found: jax.Array = jax.lax.scan(turn, None, (x, jax.random.split(key, len(x))), reverse=reverse)[1]
        return found

    return way


def branch(one: Callable[..., Any]) -> Way:
    def way(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
        only, (own, behind) = jax.tree.map(lambda a: a[0], p["blocks"]), jax.random.split(key)
        x = linear(x, p["embed"])
        return last(p, one(x.sum() > 0, lambda x: block(only, x, own), lambda x: drop(own, x, BEHIND), x), behind)

    return way


def switched(pred: Any, yes: Any, no: Any, x: jax.Array) -> Any:
    return jax.lax.switch(pred.astype(int), [no, yes], x)


def evaluated(kind: str, p: Any, x: jax.Array) -> jax.Array:
    def moved(x: jax.Array, index: int) -> jax.Array:
        of = jax.tree.map(lambda a: a[index], p["blocks"]["mix"])
        return x + linear(jnp.tanh(x), of)

    x = linear(x, p["embed"])
    if kind == "experts":
        x = jnp.stack([moved(x, index) for index in range(BLOCKS)]).sum(0)
    elif kind == "branches":
        x = jnp.where(x.sum() > 0, moved(x, 0), x)
    else:
        for index in range(BLOCKS):
            x = moved(x, index)
    return linear(x, p["head"])


def pair_of(kind: str, way: Way) -> Pair:
    def params() -> dict[str, Any]:
        blocks = {"mix": layer(WIDTH, WIDTH, 1 if kind == "branches" else BLOCKS)}
        return {"embed": layer(FEATURES, WIDTH), "blocks": blocks, "head": layer(WIDTH, CLASSES)}

    def predict(p: Any, batch: Any, train: bool) -> jax.Array:
        return way(p, batch["inputs"], jax.random.key(0)) if train else evaluated(kind, p, batch["inputs"])

    return Pair(
        torch={"model": lambda: Net(kind), "loss": torch_loss, "optimizer": lambda p: torch.optim.SGD(p, lr=0.1)},
        jax={
            "model": params, "predict": predict,
            "loss": lambda p, batch, train: cross_entropy(predict(p, batch, train), batch),
        },
        batches=random_batches(inputs=(EXAMPLES, FEATURES), labels=(EXAMPLES,), classes=CLASSES, steps=2),
        name="examples", weight_map={"blocks.0.mix.weight": "transpose"},
    )  # fmt: skip


def checked(kind: str, way: Way) -> Verdict:
    return check(pair_of(kind, way), dtypes=("float64",))


RIGHT: dict[str, tuple[str, Way]] = {
    "vmap": ("blocks", by_vmap(whole)),
    "vmap over a scan": ("blocks", by_vmap(scanned)),
    "map": ("blocks", by_map(whole)),
    "map from the end": ("blocks", by_map(whole, reverse=True)),
    "map over a scan": ("blocks", by_map(scanned)),
    "map that is taken turn by turn": ("blocks", by_map(lambda p, x, key: tap(whole(p, x, key), "example"))),
    "experts by vmap": ("experts", experts),
    "experts by vmap of each example": ("experts", by_vmap(experts)),
    "experts by vmap in a map": ("experts", by_map(experts)),
    "switch": ("branches", branch(switched)),
    "cond": ("branches", branch(lambda *given: jax.lax.cond(*given))),
}


@pytest.mark.parametrize("case", RIGHT)
def test_each_example_expert_and_branch_has_its_mask(case: str) -> None:
    verdict = checked(*RIGHT[case])
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert not [line for line in verdict.listed if "dropout" in line]


# Mistakes


def one_key(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    return jax.vmap(whole, (None, 0, None))(p, x, key)


def in_groups(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    found: jax.Array = jax.lax.map(lambda of: whole(p, *of), (x, jax.random.split(key, len(x))), batch_size=2)
    return found


def without_the_last(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    *keys, _ = jax.random.split(key, BLOCKS + 1)
    x = linear(x, p["embed"])
    for index, own in enumerate(keys):
        x = block(jax.tree.map(lambda a, index=index: a[index], p["blocks"]), x, own)
    return linear(x, p["head"])


@pytest.mark.parametrize("way", [one_key, in_groups, by_map(without_the_last)])
def test_masks_that_are_not_torchs_are_told_beside_the_difference(way: Way) -> None:
    verdict = checked("blocks", way)
    assert first_of(verdict).stage == "forward"
    (line,) = [line for line in verdict.listed if "dropouts" in line]
    assert "do not draw masks of the number and shapes of torch's, (6, 8), (6, 8)" in line


def another_rate(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    *keys, behind = jax.random.split(key, BLOCKS + 1)
    x = linear(x, p["embed"])

    def expert(of: Any, own: jax.Array) -> jax.Array:
        inside, after = jax.random.split(own)
        return x + drop(after, linear(drop(inside, jnp.tanh(x), 0.4), of["mix"]), BEHIND)

    return last(p, jax.vmap(expert)(p["blocks"], jnp.stack(keys)).sum(0), behind)


def experts_in_reverse(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    """The masks of other experts: right by their shapes, and not by their numbers."""
    keys = jax.random.split(key, BLOCKS + 1)
    of = jax.tree.map(lambda a: a[::-1], p["blocks"])
    return last(p, jax.vmap(block, (0, None, 0))(of, linear(x, p["embed"]), keys[1:]).sum(0), keys[0])


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("experts", another_rate),
        ("experts", experts_in_reverse),
        ("branches", branch(lambda pred, yes, no, x: jax.lax.cond(pred, no, yes, x))),
        ("blocks", lambda p, x, key: by_map(whole)(p, x[::-1], key)[::-1]),
    ],
    ids=["another rate", "experts in reverse", "the other branch", "examples in reverse"],
)
def test_a_mistake_in_them_differs(kind: str, way: Way) -> None:
    assert first_of(checked(kind, way)).stage == "forward"


def tiled(one: Callable[[Way], Way]) -> Way:
    """Each key is that of two examples."""

    def way(p: Any, x: jax.Array, key: jax.Array) -> jax.Array:
        keys = jnp.tile(jax.random.split(key, len(x) // 2), 2)
        return one(lambda p, x, index: whole(p, x, keys[index]))(p, x, key)

    return way


def by_number(run: Callable[..., Any]) -> Callable[[Way], Way]:
    return lambda one: lambda p, x, key: run(lambda of: one(p, *of), (x, jnp.arange(len(x))))


def again(x: jax.Array) -> jax.Array:
    """With the key of what is before."""
    return drop(jax.random.split(jax.random.key(0))[0], x, BEHIND)


EQUAL: dict[str, Way] = {
    "two examples by vmap": tiled(by_number(lambda f, xs: jax.vmap(f)(xs))),
    "two examples by map": tiled(by_number(jax.lax.map)),
    "the dropout behind a branch": branch(lambda *of: again(jax.lax.cond(*of))),
    "made twice": lambda p, x, key: whole(p, x, key) + 0 * whole(p, x, jax.random.key(0)),
}


@pytest.mark.parametrize("case", EQUAL)
def test_keys_that_are_equal_are_refused(case: str) -> None:
    with pytest.raises(NotCheckable, match="with keys that are equal"):
        checked("branches" if "branch" in case else "blocks", EQUAL[case])


def test_a_branch_that_is_taken_out_of_sight_is_refused() -> None:
    with pytest.raises(NotCheckable, match="the function that takes the branch was out of sight"):
        checked("branches", branch(OUT_OF_SIGHT))


def test_a_recording_of_torch_tells_which_masks_it_draws(tmp_path: Any, monkeypatch: Any) -> None:
    pair, file = pair_of("experts", experts), tmp_path / "torch.safetensors"
    write_golden(pair, "torch", file)
    monkeypatch.setattr("parity.torch_side.live.TorchSide.dropouts", None)
    assert check_against(pair, file).outcome == "agree"
