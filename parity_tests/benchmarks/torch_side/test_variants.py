"""A variant that compiles asks torch.compile for what its name says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from benchmarks.case import Case
from benchmarks.torch_side.problems import setup
from benchmarks.torch_side.variants import compiled, prepare
from torchnet.settings import computing


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What torch.compile is asked for. It compiles nothing, and what it gave is forgotten."""
    found: list[dict[str, Any]] = []

    def compile(function: Callable[..., Any], **given: Any) -> Callable[..., Any]:
        found.append(given)
        return function

    monkeypatch.setattr(torch, "compile", compile)
    compiled.cache_clear()
    yield found
    compiled.cache_clear()


@pytest.mark.parametrize(
    ("name", "seeds", "mode"),
    [
        ("compiled", 1, "default"),
        ("compiled_reduce_overhead", 1, "reduce-overhead"),
        ("compiled_max_autotune", 1, "max-autotune"),
        ("many_seeds_compiled", 3, "default"),
    ],
)
def test_a_program_is_compiled_once_in_the_mode_that_its_name_says(
    name: str, seeds: int, mode: str, asked: list[dict[str, Any]]
) -> None:
    with computing("cpu", "float32"):
        one = prepare(name, setup(Case("mlp", steps=3, seeds=seeds), "float32", seeds=range(seeds)))
        for _ in range(2):
            one.run(one.place())
    assert asked == [{"fullgraph": True, "mode": mode}]
