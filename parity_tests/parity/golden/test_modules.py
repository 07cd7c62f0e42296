"""Goldens of modules: what the other framework alone could tell is in the file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from parity.errors import NotCheckable
from parity.golden.check import check_against, write_golden
from parity.recording import FRAMEWORKS, OTHER, Framework, Key
from parity_tests.imports import FRAMEWORKS as PACKAGES
from parity_tests.parity import small_jax, small_torch
from parity_tests.parity.judging.test_check_frozen import expect_agreement, frozen
from parity_tests.parity.judging.test_check_modules import Stock, first_of, pair
from parity_tests.parity.judging.test_check_taps import predict, soft, tapped
from parity_tests.parity.small_jax import Small
from parity_tests.test_isolation import python

pytestmark = pytest.mark.usefixtures("compiled_once")

PAIR = """
from parity import Pair, random_batches
TORCH, JAX = "parity_tests.parity.small_torch", "parity_tests.parity.small_jax"
pair = Pair(
    torch=dict(model=f"{TORCH}:Small", loss=f"{TORCH}:loss", optimizer=f"{TORCH}:optimizer"),
    jax=dict(model=f"{JAX}:Small", loss=f"{JAX}:loss", optimizer=f"{JAX}:optimizer"),
    batches=random_batches(inputs=(8, 5), labels=(8,), classes=3, steps=2),
)
"""
RUN = "from parity.command.app import main\nsys.exit(main({arguments!r}))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small pair and a golden of each of its sides."""
    from parity.pair.importing import load_pair

    made = tmp_path_factory.mktemp("goldens")
    (made / "small.py").write_text(PAIR)
    for framework in FRAMEWORKS:
        write_golden(load_pair(made / "small.py"), framework, made / f"{framework}.parity")
    return made


@pytest.mark.parametrize(("recorded", "running"), [("torch", "jax"), ("jax", "torch"), ("jax", "jax")])
def test_one_framework_is_enough(folder: Path, recorded: Framework, running: Framework) -> None:
    file = folder / f"{recorded}.parity"
    arguments = ["check", str(folder / "small.py"), "--against", str(file), "--side", running]
    done = python(RUN.format(arguments=arguments), PACKAGES[OTHER[running]], [])
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "AGREE" in done.stdout


TRAINED = """
from parity import Pair, random_batches
NAMES = ("small_torch", "small_jax", "judging.test_check_optimizers")
TORCH, JAX, CHECKS = (f"parity_tests.parity.{name}" for name in NAMES)

def in_torch(parameters):
    import torch
    return torch.optim.RMSprop(parameters, lr=0.01)

def in_jax(decay=0.99):
    import optax
    return optax.rmsprop(0.01, decay=decay, eps_in_sqrt=False)

def other_decay():
    return in_jax(0.98)

pair = Pair(
    torch=dict(model=f"{TORCH}:Small", loss=f"{TORCH}:loss", optimizer=in_torch),
    jax=dict(model=f"{JAX}:Small", loss=f"{JAX}:loss", optimizer=in_jax),
    batches=random_batches(inputs=(8, 5), labels=(8,), classes=3, steps=2),
)
"""
NAMED_IN_TORCH = TRAINED.replace("optimizer=in_torch", 'optimizer=f"{CHECKS}:grouped", scheduler=f"{CHECKS}:halving"')


@pytest.mark.parametrize(
    ("pair_file", "outcome"),
    [
        (NAMED_IN_TORCH.replace(", optimizer=in_jax", ""), "AGREE"),
        (TRAINED, "AGREE"),
        (TRAINED.replace("optimizer=in_jax", "optimizer=other_decay"), "RMSprop: alpha 0.98 on the jax side, 0.99 on"),
    ],
    ids=["named in torch alone", "with names of Optax's own", "another option"],
)
def test_torchs_optimizer_is_known_without_torch(tmp_path: Path, pair_file: str, outcome: str) -> None:
    from parity.pair.importing import load_pair

    (tmp_path / "small.py").write_text(pair_file)
    write_golden(load_pair(tmp_path / "small.py"), "torch", tmp_path / "torch.parity")
    arguments = ["check", str(tmp_path / "small.py"), "--against", str(tmp_path / "torch.parity")]
    done = python(RUN.format(arguments=arguments), {"torch", "torchvision"}, [])
    assert (done.returncode, done.stderr) == (0 if outcome == "AGREE" else 1, ""), done.stdout
    assert outcome in done.stdout
    # Optax's RMSprop does not count its steps: the engine does where torch's is known to.
    assert "counted on the torch side only" not in done.stdout


@pytest.mark.parametrize("model", [Small, Stock])
def test_a_mistake_is_found_against_a_golden_as_it_is_beside_torch(tmp_path: Path, model: type[Small]) -> None:
    write_golden(pair(), "torch", tmp_path / "torch.parity")
    verdict = check_against(pair(jax={"model": model}), tmp_path / "torch.parity")
    outcome: Literal["agree", "differ"] = "agree" if model is Small else "differ"
    assert verdict.outcome == outcome
    if model is Stock:
        assert first_of(verdict).tensor == "norm.running_var"


@pytest.mark.parametrize("recorded", FRAMEWORKS)
def test_a_recorded_side_is_asked_the_same(tmp_path: Path, recorded: Framework) -> None:
    file = tmp_path / "side.parity"
    write_golden(frozen(), recorded, file)
    verdict = check_against(frozen(), file)
    expect_agreement(verdict)
    exact = {(c.key.step, c.dtype) for c in verdict.comparisons if c.limit == 0 and c.key.tensor == "inner.weight"}
    assert {(1, "float64"), (1, "float32")} < exact
    mistake = (
        {"jax": {"optimizer": small_jax.optimizer}} if recorded == "torch" else {"torch": {"model": small_torch.Small}}
    )
    moved = check_against(frozen(**mistake), file)
    assert first_of(moved) == Key("update", 0, "inner.weight")


def test_a_recording_of_other_frozen_parameters_is_refused(tmp_path: Path) -> None:
    write_golden(frozen(), "torch", tmp_path / "torch.parity")
    with pytest.raises(NotCheckable, match="the pair's torch side is declared anew"):
        check_against(frozen(frozen=("inner.weight", "inner.bias")), tmp_path / "torch.parity")


def test_what_stands_at_taps_is_recorded_too(tmp_path: Path) -> None:
    write_golden(tapped(), "torch", tmp_path / "torch.parity")
    verdict = check_against(tapped(), tmp_path / "torch.parity")
    assert verdict.outcome == "agree"
    assert {"hidden.tap", "active.tap"} < {c.key.tensor for c in verdict.comparisons}
    wrong = check_against(tapped(function=partial(predict, activation=soft)), tmp_path / "torch.parity")
    assert first_of(wrong) == Key("forward", 0, "active.tap")
    assert [start.where for start in wrong.starts] == ["between hidden.tap and active.tap"]
