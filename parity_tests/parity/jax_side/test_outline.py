from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from parity.errors import NotCheckable
from parity.jax_side.outline import outline, outline_made_by, outline_of_collections
from parity.weight_map.outline import Module


class Mine(nnx.Linear):
    """A layer of somebody's, built on Flax's."""


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.token = nnx.Param(jnp.ones((1, 2)))
        self.seen = nnx.BatchStat(jnp.zeros(()))
        self.sizes = [3, 4]
        self.body = nnx.List([Mine(3, 4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs), nnx.BatchNorm(4, rngs=rngs)])
        self.second, self.first = nnx.Embed(5, 3, rngs=rngs), nnx.Embed(5, 3, rngs=rngs)
        self.first.embedding = self.second.embedding


def made() -> Net:
    return Net(nnx.Rngs(0))


def test_modules_stand_in_order_with_their_own_arrays_and_settings() -> None:
    found = outline(made())
    names = [module.name for module in found.modules]
    assert [name for name in names if name and "rngs" not in name] == [
        "body", "body.0", "body.1", "body.2", "second", "first",
    ]  # fmt: skip
    by_name = {module.name: module for module in found.modules}
    assert by_name[""] == Module("", "Net", {"token": (1, 2)}, {"seen": ()}, {"built_on": ""})
    assert by_name["body.0"] == Module("body.0", "Mine", {"kernel": (3, 4), "bias": (4,)}, {}, {"built_on": "Linear"})
    assert by_name["body.2"].buffers == {"mean": (4,), "var": (4,)}
    assert not by_name["body.1"].parameters | by_name["body.1"].buffers


def test_a_variable_under_two_names_is_tied_to_the_name_that_the_state_has() -> None:
    model = made()
    assert outline(model).tied == {"second.embedding": "first.embedding"}
    paths = {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.RngState)))}
    assert "first.embedding" in paths
    assert paths == {name for name, _ in outline(model).arrays()} - {"second.embedding"}


def test_without_numbers_the_outline_is_the_same_where_the_model_is_made_and_elsewhere_says_that_order_is_lost() -> (
    None
):
    assert outline_made_by(made) == outline(made())
    merged = outline(nnx.eval_shape(made))
    assert merged.modules[0].config == {"built_on": "", "sorted": True}
    assert dict(merged.arrays()) == dict(outline(made()).arrays())
    assert merged.tied == outline(made()).tied


def test_linens_collections_become_one_tree() -> None:
    variables = {
        "batch_stats": {"BatchNorm_0": {"mean": jnp.ones(3)}},
        "params": {"BatchNorm_0": {"scale": jnp.ones(3)}, "head": {"kernel": jnp.ones((3, 2))}},
    }
    found = outline_of_collections(variables)
    assert found.modules == (
        Module("", "", {}, {}, {}),
        Module("BatchNorm_0", "", {"scale": (3,)}, {"mean": (3,)}, {}),
        Module("head", "", {"kernel": (3, 2)}, {}, {}),
    )
    with pytest.raises(NotCheckable, match=r"two collections .* BatchNorm_0\.mean"):
        outline_of_collections({**variables, "more": variables["batch_stats"]})


def test_any_other_tree_is_parameters_by_their_paths() -> None:
    found = outline_of_collections({"params": [{"w": jnp.ones((2, 3))}, (jnp.ones(4),)]})
    assert dict(found.arrays()) == {"0.w": (2, 3), "1.0": (4,)}
    with pytest.raises(NotCheckable, match="no parameters"):
        outline_of_collections({"batch_stats": {}, "params": {}})


def test_a_dot_in_a_key_divides_it_and_what_is_not_among_the_parameters_is_a_buffer() -> None:
    found = outline_of_collections({"params": {"fc.weight": jnp.ones((2, 3))}, "kept": {"fc.steps": jnp.ones(4)}})
    assert found.modules == (Module("", "", {}, {}, {}), Module("fc", "", {"weight": (2, 3)}, {"steps": (4,)}, {}))


class Taken(linen.Dense):
    """A layer of somebody's, built on Linen's."""


class Tower(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return linen.ConvTranspose(2, (3,), transpose_kernel=True, name="up")(Taken(3, name="mine")(x))


def test_modules_of_linen_tell_the_kinds_of_layers_and_no_order() -> None:
    called: dict[str, linen.Module] = {}

    def noted(function: Any, given: Any, named: Any, context: Any) -> Any:
        called[".".join(context.module.path)] = context.module
        return function(*given, **named)

    with linen.intercept_methods(noted):
        variables = Tower().init(jax.random.key(0), jnp.ones((1, 4, 3)))
    assert outline_of_collections(variables, called).modules == (
        Module("", "Tower", {}, {}, {"built_on": "", "sorted": True}),
        Module("mine", "Taken", {"bias": (3,), "kernel": (3, 3)}, {}, {"built_on": "Dense"}),
        Module("up", "ConvTranspose", {"bias": (2,), "kernel": (3, 2, 3)}, {}, {"transpose_kernel": True}),
    )
