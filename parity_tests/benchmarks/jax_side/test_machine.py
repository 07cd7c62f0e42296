"""What is asked of JAX's arrays: whether all of them are done, without waiting, and to wait for them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from benchmarks.jax_side.machine import settled, wait


@pytest.mark.parametrize("result", [(), (None, [1.0])], ids=["nothing", "no array"])
def test_without_an_array_there_is_no_result(result: Any) -> None:
    assert not settled(result, "cpu")


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_result_is_settled_once_all_of_its_arrays_are_done(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weight, loss = jax.block_until_ready((jnp.ones(3), jnp.ones(())))  # type: ignore[no-untyped-call]
    late: list[jax.Array] = []
    monkeypatch.setattr(type(weight), "is_ready", lambda array: not any(array is one for one in late))
    result = ({"weight": weight}, [loss])
    assert settled(result, device)
    for late[:] in ([weight], [loss]):
        assert not settled(result, device)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_result_is_waited_for_on_either_device(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[Any] = []
    monkeypatch.setattr(jax, "block_until_ready", waited.append)
    result = {"weight": jnp.ones(3)}
    wait(result, device)
    assert len(waited) == 1
    assert waited[0] is result
