"""The kernels in Pallas do what the wing does, and become three kernels a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from benchmarks import judge
from benchmarks.case import Case
from benchmarks.jax_side import kernels
from benchmarks.jax_side.kernels import Plan
from benchmarks.jax_side.problems import Setup, setup
from benchmarks.jax_side.three_kernels import TOGETHER, Fed, Held, steps, three_kernels
from benchmarks.jax_side.variants import prepare
from benchmarks.kernels import COLUMNS, stack_of
from benchmarks.prepared import Outcome
from benchmarks.variants import by_full_name
from benchmarks.worker import Worker
from jaxnet import mnist
from jaxnet.settings import computing
from parity_tests.benchmarks.outcomes import apart

COUNT = 2 * TOGETHER + 2
"""Steps in two whole iterations of the loop, and two behind them: a loop of one is no loop to XLA."""


def from_the_middle(count: int) -> tuple[Setup, Outcome]:
    """Steps of MNIST in float64 that begin with a state, and what they come to when driven one by one."""
    middle = mnist.train(steps=3, dtype="float64").state
    made = setup(
        Case("mnist", steps=3 + count, batch_size=20), "float64", seeds=[0], start=3, count=count, state=middle
    )
    stepped = prepare("stepped", made)
    return made, stepped.read(stepped.run(stepped.place()))[0]


def interpreted(made: Setup) -> Outcome:
    """The kernels' run, without a GPU."""
    prepared = three_kernels(made, interpret=True)
    return prepared.read(prepared.run(prepared.place()))[0]


@pytest.mark.parametrize("count", [1, COUNT])
def test_the_kernels_do_what_the_wing_does(count: int) -> None:
    with computing("cpu", "float64"):
        # At most 3e-14 apart; the nearest of the mistakes below is 0.38.
        made, expected = from_the_middle(count)
        assert apart(interpreted(made), expected) < 1e-11


def _no_relu(z: jax.Array, n: jax.Array, units: int) -> jax.Array:
    return jnp.where((n == units)[None, :], 1, z)


def _no_bias(z: jax.Array, n: jax.Array, units: int) -> jax.Array:
    return jnp.where((n == 0)[None, :], 1, jnp.maximum(z, 0))


def _no_label(z: jax.Array, label: jax.Array, digits: int) -> tuple[jax.Array, jax.Array]:
    return RIGHT_LOSS(z, 0 * label, digits)


def _a_piece_less(plan: Any, like: Any, shape: Any, pieces: int, factors: Any) -> jax.Array:
    return RIGHT_PRODUCT(plan, like, shape, max(pieces - 1, 1), factors)


RIGHT_LOSS, RIGHT_PRODUCT = kernels.cross_entropy, kernels.product
MISTAKES = {"hidden": (_no_relu, _no_bias), "cross_entropy": (_no_label,), "product": (_a_piece_less,)}


@pytest.fixture
def compiled_anew() -> Iterator[None]:
    """Nothing that was compiled is used again, before and after."""
    jax.clear_caches()  # type: ignore[no-untyped-call]
    yield
    jax.clear_caches()  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("compiled_anew")
@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, many in MISTAKES.items() for wrong in many])
def test_a_mistake_shows(name: str, wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, name, wrong)
    with computing("cpu", "float64"):
        made, expected = from_the_middle(1)
        assert not apart(interpreted(made), expected) < 1e-6


# Since JAX 0.11, Pallas warns that it will leave Triton one day.
PALLAS = "ignore:The Pallas Triton backend is deprecated:DeprecationWarning"


def for_an_h100() -> AbstractContextManager[Any]:
    """Since JAX 0.11, Pallas has to be told of a GPU that is not there."""
    if jax.__version_info__ < (0, 11):
        return nullcontext()
    gpu = jax.sharding.AbstractDevice("NVIDIA H100", None, "gpu")
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((1,), ("x",), abstract_device=gpu))


@pytest.mark.filterwarnings(PALLAS)
@pytest.mark.parametrize("tf32", [False, True], ids=["float32", "tf32"])
def test_a_step_for_a_gpu_is_three_kernels(tf32: bool) -> None:
    def array(*shape: int, dtype: str = "float32") -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]

    stack = stack_of(mnist.PROBLEM.draw_parameters(0), 1000)
    matrix = array(stack.height, COLUMNS)
    fed = Fed(
        array(60001, stack.first), array(60001, dtype="uint8"), array(COUNT, stack.examples, dtype="int32"),
        array(COUNT, 2),
    )  # fmt: skip
    with for_an_h100():
        traced = steps.trace(Plan(stack, tf32), COUNT, Held(matrix, matrix, matrix), fed)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    # Ten steps in the loop, and two behind it. In each, threads of the second kernel meet three times.
    assert text.count("__gpu$xla.gpu.triton") == 3 * (TOGETHER + 2)
    assert text.count("stablehlo.while") == 1
    program = str(traced.jaxpr)
    assert program.count("debug_barrier") == 3 * (TOGETHER + 2)
    # Products of rounded factors, or of whole ones: each kernel has its own, and none is of the other kind.
    assert ("TF32_TF32_F32" in program, "HIGHEST" in program) == (tf32, not tf32)


@pytest.mark.gpu
@pytest.mark.filterwarnings(PALLAS)
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_on_a_gpu_they_do_what_the_judge_does(precision: str, tmp_path: Path) -> None:
    judge.make(Case("mnist", steps=COUNT)).save(tmp_path / "judge.safetensors")
    case = Case("mnist", precision, "gpu", steps=COUNT)
    one = Worker(case, by_full_name("jax whole_run_three_kernels"))
    found = one.check(tmp_path / "judge.safetensors")
    assert (found["outcome"], found["reason"]) == ("right", "")
