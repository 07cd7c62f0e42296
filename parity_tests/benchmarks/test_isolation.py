"""A process of one framework needs no other, and the command none until it measures."""

from __future__ import annotations

import json

import pytest

from parity_tests.imports import FRAMEWORKS
from parity_tests.test_isolation import LOADED, modules_below, python

TIMED = """
from pathlib import Path
from benchmarks.case import Case
from benchmarks.variants import by_full_name
from benchmarks.worker import Worker
worker = Worker(Case("mlp", steps=2), by_full_name(f"{side} stepped"))
worker.start()
print(worker.run()["settled"], worker.describe()["mantissa_bits"])
"""


@pytest.mark.parametrize(("side", "other"), [("torch", "jax"), ("jax", "torch")])
def test_a_variant_is_timed_where_the_other_framework_is_missing(side: str, other: str) -> None:
    done = python(f"side = {side!r}" + TIMED + LOADED, FRAMEWORKS[other], modules_below(f"benchmarks/{side}_side"))
    assert done.returncode == 0, done.stderr
    told, loaded = done.stdout.splitlines()
    assert told == "True 23"
    assert not FRAMEWORKS[other] & set(json.loads(loaded.replace("'", '"')))


def test_the_process_that_starts_the_others_holds_no_framework() -> None:
    modules = [name for name in modules_below("benchmarks") if "_side" not in name]
    assert "benchmarks.measure" in modules
    done = python(LOADED, set(), modules)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.replace("'", '"')))
    assert not (FRAMEWORKS["torch"] | FRAMEWORKS["jax"] | {"torchnet", "jaxnet"}) & loaded
