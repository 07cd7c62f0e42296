"""The folder of a failed check: what it holds, that it is whole, and that a fault in it hides nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from safetensors import safe_open
from safetensors.numpy import load_file

from parity import WeightMap
from parity.pytest_plugin import bundle as bundle_module
from parity.pytest_plugin.failure import headline
from parity.verdict import Excerpt, Verdict
from parity.weight_map.find import find
from parity_tests.parity.made_recordings import recording
from parity_tests.parity.made_verdicts import differing, inconclusive
from parity_tests.parity.pytest_plugin.made_project import TINY, Engine, Project
from parity_tests.parity.weight_map.made_outlines import jax_linear, linear, made

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "parity.schema.json").read_text(encoding="utf-8"))
MADE = recording(
    ("init", 0, {"weight": np.arange(6.0).reshape(2, 3).T}),
    ("backward", 0, {"weight": np.ones(2), "step": np.array(1)}),
)


def with_recordings(name: str, left_out: int = 0) -> Verdict:
    return replace(differing(name), excerpt=Excerpt({"torch float64": MADE, "jax a/loop float64": MADE}, left_out))


@pytest.fixture
def failing(project: Project, engine: Engine) -> Project:
    engine.outcomes = {"a": with_recordings}
    project.test("parity_check('pairs/a.py', seed=7)")
    return project


def left(project: Project, parent: str = ".parity") -> Path:
    """The only folder below the parent."""
    (folder,) = [entry for entry in (project.folder / parent).iterdir() if entry.is_dir()]
    return folder


def test_the_folder_is_named_after_the_test_and_ignored_by_git(failing: Project) -> None:
    failing.failure()
    assert left(failing).name.startswith("tests-test_port.py-test_port-")
    assert (failing.folder / ".parity" / ".gitignore").read_text() == "*\n"


def test_the_verdict_is_the_document_of_the_command(failing: Project) -> None:
    failing.failure()
    found = json.loads((left(failing) / "verdict.json").read_text(), parse_constant=pytest.fail)
    Draft202012Validator(SCHEMA).validate(found)
    assert (found["outcome"], found["exit_status"]) == ("differ", 1)
    assert found["command"] == ["parity", "check", "pairs/a.py", "--seed", "7", "--device", "cpu"]
    assert found["pairs"][0]["first_difference"]["stage"] == "backward"


def test_recordings_are_safetensors_with_their_provenance(failing: Project) -> None:
    failing.failure()
    files = sorted(left(failing).glob("*.safetensors"))
    assert [file.name for file in files] == ["jax.a.loop.float64.safetensors", "torch.float64.safetensors"]
    for file in files:
        arrays = load_file(file)
        assert arrays.keys() == {"init/0/weight", "backward/0/weight", "backward/0/step"}
        for name, array in arrays.items():
            stage, step, tensor = name.split("/")
            np.testing.assert_array_equal(array, MADE.of(stage, int(step))[tensor])
        with safe_open(file, framework="np") as opened:
            assert json.loads(opened.metadata()["provenance"]) == MADE.provenance.document()


def test_the_readme_says_what_failed_how_to_run_it_again_and_what_is_there(failing: Project) -> None:
    failing.failure()
    said = (left(failing) / "README.txt").read_text()
    assert said.startswith(f"tests/test_port.py::test_port failed: pair a\n\n{headline(differing())}\n\n")
    assert f"Run it again, in {failing.folder}:\n\n    parity check pairs/a.py --seed 7 --device cpu\n" in said
    assert "    torch.float64.safetensors\n    jax.a.loop.float64.safetensors\n" in said
    assert "left out" not in said


def test_the_readme_says_what_was_left_out(failing: Project, engine: Engine) -> None:
    engine.outcomes = {"a": lambda name: with_recordings(name, left_out=5)}
    failing.failure()
    assert (
        "5 tensors were left out, so that this folder stays below 50 MB" in (left(failing) / "README.txt").read_text()
    )


def test_the_weight_map_is_left_where_there_is_one(failing: Project, engine: Engine) -> None:
    failing.failure()
    assert not (left(failing) / "weight_map.json").exists()
    weights = find(made("torch", {"fc": linear(4, 3)}), made("jax", {"fc": jax_linear(4, 3)}))

    def mapped(name: str) -> Verdict:
        verdict = with_recordings(name)
        assert verdict.excerpt is not None
        return replace(verdict, excerpt=replace(verdict.excerpt, weight_map=weights))

    engine.outcomes = {"a": mapped}
    failing.failure()
    assert WeightMap.load(left(failing) / "weight_map.json") == weights
    assert "weight_map.json is the weight map between the two models" in (left(failing) / "README.txt").read_text()


def test_where_nothing_differs_there_are_no_recordings_to_leave(failing: Project, engine: Engine) -> None:
    engine.outcomes = {"a": inconclusive}
    failing.failure()
    assert sorted(file.name for file in left(failing).iterdir()) == ["README.txt", "verdict.json"]


def test_another_folder_may_be_named_from_where_pytest_was_started(
    failing: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("tests")
    assert failing.failure("--parity-bundles", "../left/here")[-1].startswith("recordings: ")
    assert left(failing, "left/here").name.startswith("tests-test_port.py-test_port-")
    assert not (failing.folder / ".parity").exists()
    assert not (failing.folder / "left" / "here" / ".gitignore").exists()


def test_tests_with_like_names_have_folders_of_their_own(failing: Project) -> None:
    failing.test(
        "parity_check('pairs/a.py')", f"@pytest.mark.parametrize('name', ['a/b', 'a-b', '{'x' * 200}'], ids=str)"
    )
    failing.write(
        "tests/test_port.py", (failing.folder / "tests/test_port.py").read_text().replace("(par", "(name, par")
    )
    failing.run().assert_outcomes(failed=3)
    names = [entry.name for entry in (failing.folder / ".parity").iterdir() if entry.is_dir()]
    assert len(names) == 3
    assert max(map(len, names)) < 120


def test_a_later_failure_takes_the_place_of_an_earlier_one(failing: Project, engine: Engine) -> None:
    failing.failure()
    engine.outcomes = {"a": inconclusive}
    failing.failure()
    assert sorted(file.name for file in left(failing).iterdir()) == ["README.txt", "verdict.json"]


def test_a_test_that_passes_leaves_nothing(failing: Project, engine: Engine) -> None:
    engine.outcomes = {}
    failing.run().assert_outcomes(passed=1)
    assert not (failing.folder / ".parity").exists()


# A fault while it is written


def test_a_folder_that_cannot_be_written_hides_nothing(failing: Project) -> None:
    failing.write(".parity", "a file where the folder should be")
    first, *_, last = failing.failure()
    assert first == headline(differing())
    assert last.startswith(f"no recordings were left in {failing.folder}/.parity/tests-test_port.py-test_port-")
    assert "Error: " in last


def test_what_is_half_written_goes_and_what_was_there_stays(failing: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    failing.failure()
    before = {file.name: file.read_bytes() for file in left(failing).iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_module, "_readme", full)
    first, *_, last = failing.failure()
    assert first == headline(differing())
    assert last.endswith("OSError: [Errno 28] No space left on device")
    assert {file.name: file.read_bytes() for file in left(failing).iterdir()} == before


# With the real engine


def test_the_recordings_of_both_sides_show_the_difference(project: Project, real_engine: None) -> None:
    project.write("pairs/tiny.py", TINY.format(parts='{"optimizer": lambda: optax.adam(0.0303)}'))
    project.test("parity_check('pairs/tiny.py')")
    assert project.failure()[0].startswith("update, step 0, tensor inner.weight, float64")
    torch, jax = (load_file(left(project) / f"{side}.float64.safetensors") for side in ("torch", "jax"))
    assert torch.keys() == jax.keys()
    assert {name.split("/")[0] for name in torch} == {"data", "init", "forward", "loss", "backward", "update"}
    moved = [arrays["update/0/inner.weight"] - arrays["init/0/inner.weight"] for arrays in (torch, jax)]
    np.testing.assert_allclose(moved[1] / moved[0], 1.01, rtol=1e-6)
    assert sum(file.stat().st_size for file in left(project).iterdir()) < 50_000_000
