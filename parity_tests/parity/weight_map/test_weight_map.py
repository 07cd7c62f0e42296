from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.errors import NotCheckable
from parity.weight_map.entry import Entry, Part
from parity.weight_map.find import find
from parity.weight_map.steps import TRANSPOSE
from parity.weight_map.weight_map import WeightMap
from parity_tests.parity.weight_map.made_outlines import (
    batch_norm,
    conv,
    jax,
    jax_batch_norm,
    jax_conv,
    jax_linear,
    linear,
    torch,
)  # fmt: skip

WEIGHTS = find(
    torch({"c": conv(2, 4, 3, 3), "bn": batch_norm(4), "fc": linear(4, 4)}),
    jax({"c": jax_conv(2, 4, 3, 3), "bn": jax_batch_norm(4), "fc": jax_linear(4, 4)}),
)
GENERATOR = np.random.default_rng(0)
ARRAYS = {entry.torch.name: GENERATOR.normal(size=entry.torch.whole) for entry in WEIGHTS.entries}
BUFFERS = {name: array for name, array in ARRAYS.items() if "running" in name}
PARAMETERS = {name: array for name, array in ARRAYS.items() if name not in BUFFERS}


@pytest.mark.parametrize("arrays", [ARRAYS, PARAMETERS, BUFFERS], ids=["all", "parameters", "buffers"])
def test_all_parameters_or_all_buffers_or_both_go_there_and_back(arrays: dict[str, np.ndarray]) -> None:
    leaves = WEIGHTS.to_jax(arrays)
    assert len(leaves) == len(arrays)
    back = WEIGHTS.to_torch(leaves)
    assert {name: array.tobytes() for name, array in back.items()} == {n: a.tobytes() for n, a in arrays.items()}
    np.testing.assert_array_equal(WEIGHTS.to_jax(back)[next(iter(leaves))], leaves[next(iter(leaves))])


def test_the_arrays_that_come_out_are_nobody_elses() -> None:
    leaves = WEIGHTS.to_jax(ARRAYS)
    assert not any(np.shares_memory(leaf, array) for leaf in leaves.values() for array in ARRAYS.values())
    assert all(leaf.flags.c_contiguous for leaf in leaves.values())


def test_a_part_of_a_set_or_a_stranger_in_it_is_an_error_with_the_names() -> None:
    some = {name: array for name, array in ARRAYS.items() if name not in ("c.bias", "bn.running_var")}
    with pytest.raises(NotCheckable, match=r"missing: c\.bias, bn\.running_var; unknown: who"):
        WEIGHTS.to_jax(some | {"who": np.ones(3)})
    leaves = WEIGHTS.to_jax(ARRAYS)
    del leaves["fc.kernel"]
    with pytest.raises(NotCheckable, match=r"not the jax arrays of this weight map: missing: fc\.kernel"):
        WEIGHTS.to_torch(leaves)


def test_another_shape_is_an_error_even_where_it_has_the_same_size() -> None:
    with pytest.raises(NotCheckable, match=r"fc\.weight has shape \[2, 8\], and not \[4, 4\]"):
        WEIGHTS.to_jax(ARRAYS | {"fc.weight": ARRAYS["fc.weight"].reshape(2, 8)})


def test_what_stands_on_the_torch_side_only_may_come_and_does_not_go_on() -> None:
    counter = {"bn.num_batches_tracked": np.array(3)}
    assert WEIGHTS.to_jax(BUFFERS | counter).keys() == {"bn.mean", "bn.var"}


def test_a_tied_name_may_come_too_and_must_hold_the_same() -> None:
    tied = find(
        torch({"a": linear(4, 4), "b": linear(4, 4)}, {"b.weight": "a.weight", "b.bias": "a.bias"}),
        jax({"a": jax_linear(4, 4)}),
    )
    one = {"a.weight": GENERATOR.normal(size=(4, 4)), "a.bias": np.ones(4)}
    both = one | {"b.weight": one["a.weight"], "b.bias": one["a.bias"]}
    assert tied.to_jax(both).keys() == {"a.kernel", "a.bias"}
    with pytest.raises(NotCheckable, match=r"b\.bias is tied to a\.bias, and holds other numbers"):
        tied.to_jax(both | {"b.bias": np.zeros(4)})


def test_parts_of_two_dtypes_do_not_make_one_array() -> None:
    parts = [Entry(Part(n, (2,)), (), Part("x", (4,), 0, i, i + 2), False) for n, i in (("a", 0), ("b", 2))]
    with pytest.raises(NotCheckable, match="x is put together from float64 and float32"):
        WeightMap(tuple(parts), [], {}).to_jax({"a": np.ones(2), "b": np.ones(2, np.float32)})


def test_a_line_says_what_an_entry_does() -> None:
    lines = str(WEIGHTS).splitlines()
    assert "c.weight [4, 2, 3, 3] -> c.kernel [3, 3, 2, 4], permute 2 3 1 0" in lines
    assert "fc.weight [4, 4] -> fc.kernel [4, 4], transpose" in lines
    assert lines[-1] == "bn.num_batches_tracked is held on the torch side only"


def test_a_square_kernel_that_somebody_forgot_to_transpose_is_another_kernel() -> None:
    entries = [e._replace(steps=()) if e.torch.name == "fc.weight" else e for e in WEIGHTS.entries]
    wrong = WeightMap(tuple(entries), WEIGHTS.listed, WEIGHTS.layers, WEIGHTS.apart)
    right, found = (weights.to_jax(ARRAYS)["fc.kernel"] for weights in (WEIGHTS, wrong))
    inputs = GENERATOR.normal(size=(3, 4))
    np.testing.assert_allclose(inputs @ right, inputs @ ARRAYS["fc.weight"].T)
    assert not np.allclose(inputs @ found, inputs @ right)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 1))
def test_a_tensor_in_any_slices_comes_back_bit_for_bit(count: int, size: int, axis: int) -> None:
    whole = tuple(count * size if at == axis else 3 for at in range(2))
    entries = []
    for index in range(count):
        part = Part("t", whole).slice(axis, index, count)
        entries.append(Entry(part, (TRANSPOSE,), Part(f"j{index}", part.shape[::-1]), False))
    weights = WeightMap(tuple(entries), [], {})
    array = np.random.default_rng(count).normal(size=whole)
    assert weights.to_torch(weights.to_jax({"t": array}))["t"].tobytes() == array.tobytes()
