"""The fixture: which pair it checks under which conditions, and that a test is green only where the two sides agree."""

from __future__ import annotations

import os

import pytest

from parity.errors import NotCheckable
from parity_tests.parity.made_verdicts import differing, inconclusive
from parity_tests.parity.pytest_plugin.made_project import TINY, Engine, Outcome, Project

USUAL = {"seed": 0, "device": "cpu", "loops": ("stepped", "whole_run"), "dtypes": ("float64", "float32")}


# Which pair


@pytest.mark.parametrize(
    "named",
    [
        "'pairs/a.py'",
        "'./pairs/a.py'",
        "__import__('pathlib').Path('pairs') / 'a.py'",
        "'pairs.a:pair'",
        "__import__('parity_tests.parity.made_verdicts').parity.made_verdicts.pair('a')",
        "'a'",
    ],
    ids=["file", "file from here", "path", "import path", "object", "name"],
)
def test_a_pair_is_named_in_many_ways(project: Project, engine: Engine, named: str) -> None:
    project.configure('pairs = ["pairs/a.py"]')
    project.test(f"assert parity_check({named}).pair == 'a'")
    project.run().assert_outcomes(passed=1)
    assert engine.asked == [{"pair": "a"} | USUAL]


@pytest.mark.parametrize("named", ["pairs/a.py", "pairs.a:pair"])
@pytest.mark.parametrize("folder", ["tests", ".."])
def test_a_pair_is_found_wherever_pytest_is_started(project: Project, engine: Engine, named: str, folder: str) -> None:
    project.test(f"parity_check({named!r})")
    os.chdir(folder)
    project.run(str(project.folder / "tests")).assert_outcomes(passed=1)


def test_without_settings_a_path_begins_at_pytests_root_folder(project: Project, engine: Engine) -> None:
    project.write("pyproject.toml", "[tool.pytest.ini_options]")
    project.test("parity_check('pairs/a.py')")
    os.chdir("tests")
    project.run().assert_outcomes(passed=1)


def test_each_pair_has_its_own_modules(project: Project, engine: Engine) -> None:
    for folder in ("one", "two"):
        project.write(f"{folder}/made_beside.py", "")
        project.write(f"{folder}/a.py", "import made_beside\n" + (project.folder / "pairs/a.py").read_text())
    project.test("parity_check('one/a.py'); parity_check('two/a.py')")
    assert "two/a.py: the module made_beside beside it is already imported from" in project.failure()[0]


# Under which conditions


def test_settings_then_the_marker_then_what_the_call_says(project: Project, engine: Engine) -> None:
    project.configure('seed = 3\ndevice = "gpu"\nloops = "all"')
    project.test("parity_check('pairs/a.py')", "@pytest.mark.parity(device='cpu', dtypes=['float64'])")
    project.run().assert_outcomes(passed=1)
    project.test("parity_check('pairs/a.py', seed=4, device='gpu', loops=[])", "@pytest.mark.parity(device='cpu')")
    project.run().assert_outcomes(passed=1)
    assert engine.asked == [
        {"pair": "a", "seed": 3, "device": "cpu", "loops": None, "dtypes": ["float64"]},
        {"pair": "a", "seed": 4, "device": "gpu", "loops": (), "dtypes": ("float64", "float32")},
    ]


def test_of_two_markers_the_nearer_one_counts_condition_by_condition(project: Project, engine: Engine) -> None:
    module = "pytestmark = pytest.mark.parity(device='gpu', dtypes=('float64',))\n"
    project.test("parity_check('pairs/a.py')", module + "@pytest.mark.parity(device='cpu')")
    project.run().assert_outcomes(passed=1)
    assert (engine.asked[0]["device"], engine.asked[0]["dtypes"]) == ("cpu", ("float64",))


@pytest.mark.parametrize(
    ("call", "marker", "message"),
    [
        ("'pairs/a.py', seed=-1", "", "pairs/a.py: parity_check: seed is -1: expected a whole number, 0 or more"),
        ("'pairs/a.py', sed=1", "", "parity_check: there is no 'sed': there are seed, device, loops, dtypes"),
        ("'pairs/a.py', loops=['scan']", "", "pairs/a.py: parity_check: loops: no side has a loop called 'scan'"),
        ("'pairs/a.py', loops='scan'", "", "parity_check: loops is 'scan': expected a list of names, or 'all'"),
        ("'pairs/a.py'", "device='tpu'", "the marker parity: device is 'tpu': expected 'cpu' or 'gpu'"),
        ("'pairs/a.py'", "dtypes=('float32',)", "dtypes is ('float32',): expected ('float64',), or that with"),
        ("'pairs/a.py'", "seed=1", "the marker parity takes device= and dtypes="),
        ("'pairs/a.py'", "'gpu'", "the marker parity takes device= and dtypes="),
        ("'pairs/b.py'", "", "pairs/b.py: no such pair file"),
        ("'pairs.b:pair'", "", "pairs.b:pair: no module named 'pairs.b', neither in"),
        ("'b'", "", "b: no pair is called 'b': no pair is configured"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_red_line_before_any_work(
    project: Project, engine: Engine, call: str, marker: str, message: str
) -> None:
    project.test(f"parity_check({call})", f"@pytest.mark.parity({marker})" if marker else "")
    (line,) = project.failure()
    assert message in line
    assert engine.asked == []


def test_a_fault_in_the_settings_is_one_red_line(project: Project, engine: Engine) -> None:
    project.configure("sed = 1")
    project.test("parity_check('pairs/a.py')")
    (line,) = project.failure()
    assert "pyproject.toml: [tool.parity] has no setting 'sed': there are pairs, seed, device, loops" in line


# What becomes of the test


@pytest.mark.parametrize(
    "outcome", [differing, inconclusive, NotCheckable("no data")], ids=["differ", "inconclusive", "not checkable"]
)
def test_only_agreement_is_green(project: Project, engine: Engine, outcome: Outcome) -> None:
    engine.outcomes = {"a": outcome}
    project.test("parity_check('pairs/a.py')")
    project.run().assert_outcomes(failed=1)


def test_what_cannot_be_checked_fails_and_is_one_line(project: Project, engine: Engine) -> None:
    engine.outcomes = {"a": NotCheckable("the jax side needs flax, which is not installed")}
    project.test("parity_check('pairs/a.py')")
    assert project.failure() == ["pairs/a.py: the jax side needs flax, which is not installed"]
    assert not (project.folder / ".parity").exists()


def test_a_fault_of_parity_itself_keeps_its_traceback(project: Project, engine: Engine) -> None:
    engine.outcomes = {"a": ZeroDivisionError("in the engine")}
    project.test("parity_check('pairs/a.py')")
    assert any("made_project.py" in line for line in project.failure())


def test_a_failed_check_can_be_expected(project: Project, engine: Engine) -> None:
    engine.outcomes = {"a": differing}
    project.test(
        "\n    ".join(
            ["with pytest.raises(pytest.fail.Exception, match='backward'):", "    parity_check('pairs/a.py')"]
        )
    )
    project.run().assert_outcomes(passed=1)


# With the real engine

KEPT = """
def from_arrays(parameters, dtype, device):
    model = tiny_jax.from_arrays(parameters, dtype, device)
    model.inner.kernel.set_value(model.inner.kernel[...].T)
    return model

def to_arrays(model):
    found = tiny_jax.to_arrays(model)
    return found | {"inner.weight": found["inner.weight"].T}
"""
"""A square kernel that nobody transposed, neither on the way in nor on the way out."""


@pytest.mark.parametrize(
    ("parts", "before", "first"),
    [
        ({}, "", ""),
        ({"optimizer": "lambda: optax.adam(0.0303)"}, "", "update, step 0, tensor inner.weight, float64: difference"),
        ({"model": "from_arrays", "arrays": "to_arrays"}, KEPT, "forward, step 0, tensor inner.output, float64: diff"),
        ({"optimizer": "lambda: 1 / 0"}, "", "pairs/tiny.py: the jax side's optimizer failed: ZeroDivisionError: divi"),
    ],
    ids=["right", "learning rate 1 % off", "kernel not transposed", "a part that raises"],
)  # fmt: skip
def test_a_planted_mistake_fails_the_test_with_its_place(
    project: Project, real_engine: None, parts: dict[str, str], before: str, first: str
) -> None:
    given = ", ".join(f'"{name}": {value}' for name, value in parts.items())
    made = TINY.format(parts=f"{{{given}}}").replace("\ntorch, jax", f"{before}\ntorch, jax", 1)
    project.write("pairs/tiny.py", made)
    project.test("assert parity_check('pairs/tiny.py').outcome == 'agree'", "@pytest.mark.parity(dtypes=('float64',))")
    if first:
        assert project.failure()[0].startswith(first)
    else:
        project.run().assert_outcomes(passed=1)


def test_a_gpu_that_is_not_there_is_red(project: Project, real_engine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    project.write("pairs/tiny.py", TINY.format(parts="{}"))
    project.test("parity_check('pairs/tiny.py')", "@pytest.mark.parity(device='gpu')")
    (line,) = project.failure()
    assert line.startswith("pairs/tiny.py: torch sees no CUDA device")
