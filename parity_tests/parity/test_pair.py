"""Pairs: what they refuse, how their parts and their files are found, and which of them a command line means."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from parity.command.pairs import Chosen, chosen_pairs, importable
from parity.errors import MissingFramework, NotCheckable
from parity.pair import Pair, Side, load_pair, resolve
from parity.recording import STAGES
from parity_tests.parity.made_verdicts import never, pair

ROOT = Path(__file__).parents[2]
PAIR_FILE = """
from parity import Pair, Side
side = Side.from_module("{module}", update="{module}:update")
pair = Pair(name="{name}", torch=side, jax=side)
"""


@pytest.fixture(autouse=True)
def _modules_stay_as_they_are() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("beside_"):
            del sys.modules[name]


def pair_file(folder: Path, file: str = "one.py", name: str = "one", module: str = "beside_model") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file
    path.write_text(PAIR_FILE.format(name=name, module=module))
    return path


# What a pair refuses


def test_a_side_has_one_way_to_update() -> None:
    with pytest.raises(NotCheckable, match="either `optimizer` or `update`, and not both"):
        Side.from_module("anything", optimizer=never, update=never)


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("update", "the jax side needs `optimizer` or `update` for the stage update, or declare stages without it"),
        ("loss", "the jax side needs `loss` for the stage loss"),
        (
            "scored",
            "the jax side needs `scored` for the stage score, such as scored=lambda seed: {'held out': a_batch} in",
        ),
    ],
)
def test_a_side_needs_the_parts_of_every_stage_that_is_declared(lacking: str, message: str) -> None:
    whole, parts = pair(), cast(Any, {lacking: None})
    with pytest.raises(NotCheckable, match=message):
        replace(whole, jax=replace(whole.jax, **parts))


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "no stage after init is declared"),
        (("data", "init"), "no stage after init is declared"),
        (("forward", "scores"), "there is no stage 'scores': the stages are data, init, forward,"),
        (("loss",), "the stage loss rests on forward: declare that too"),
        (("forward", "loss", "update"), "the stage update rests on backward and trajectory: declare that too"),
        (("forward", "loss", "backward", "trajectory"), "the stage trajectory rests on update"),
        ("forward", "stages are 'forward': expected a tuple of names"),
    ],
)
def test_stages_that_would_prove_nothing_are_refused(stages: tuple[str, ...], message: str) -> None:
    with pytest.raises(NotCheckable, match=f"pair made: {message}"):
        pair(stages=stages)


def test_declared_stages_stand_in_the_order_of_the_flow_with_data_and_init() -> None:
    assert pair(stages=("score", "forward")).stages == ("data", "init", "forward", "score")
    assert pair().stages == STAGES


def test_layers_in_float32_are_named_by_patterns_of_a_pair_without_loops() -> None:
    with pytest.raises(NotCheckable, match=r"pair made: float32_inside is '\*\.norm': expected a tuple of patterns"):
        pair(float32_inside="*.norm")
    quiet = pair()
    with pytest.raises(NotCheckable, match="the torch side's loops would be judged in float64: leave them out"):
        replace(quiet, torch=replace(quiet.torch, train=never, loops=("stepped",)), float32_inside=("*",))


def test_a_misspelt_word_of_a_pair_is_told_with_those_that_there_are() -> None:
    with pytest.raises(
        NotCheckable,
        match=r"pair: there is no 'weights_map': a pair has torch, jax, batches, .*weight_map, .*, frozen, dtypes$",
    ):
        pair(weights_map={})


def test_a_pair_without_batches_is_told_how_to_have_some() -> None:
    side = Side(model=never, loss=never, update=never)
    with pytest.raises(NotCheckable, match=r"^pair: the torch side needs `batches` .* batches=random_batches\("):
        Pair(torch=side, jax=side)


def test_no_steps_would_compare_nothing() -> None:
    with pytest.raises(NotCheckable, match="steps must be at least 1, not 0"):
        pair(steps=0)


def test_the_usual_names_can_be_replaced() -> None:
    side = Side.from_module("wing.problem", update="wing.problem:update", loss=never)
    assert (side.model, side.loss, side.update) == ("wing.problem:from_arrays", never, "wing.problem:update")


# Parts by import path


def test_a_part_is_found_by_its_path_or_is_the_function_itself() -> None:
    assert resolve("parity.pair:resolve", "torch") is resolve
    assert resolve(never, "jax") is never


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("parity.pair", "is not an import path"),
        (":loss", "is not an import path"),
        ("parity.pair:", "is not an import path"),
        ("no_such_wing.mnist:loss", "no module named 'no_such_wing': modules are looked for beside the pair file"),
        ("parity.no_such:loss", "no module named 'parity.no_such': modules are looked for beside"),
        ("parity.pair:no_such_part", r"has no 'no_such_part' \(it is .*pair.py\)"),
    ],
)
def test_a_path_that_leads_nowhere_is_told(path: str, message: str) -> None:
    with pytest.raises(NotCheckable, match=message):
        resolve(path, "torch")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import no_such_module", "no module named 'no_such_module': beside_faulty imports it"),
        ("def", "does not import: SyntaxError"),
        ("1 / 0", "does not import: ZeroDivisionError: division by zero"),
        (
            "import parity\nraise parity.NotCheckable('put data in')",
            "^beside_faulty:loss: does not import: put data in$",
        ),
    ],
)
def test_a_module_that_does_not_import_is_told_and_is_no_fault_of_paritys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    (tmp_path / "beside_faulty.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotCheckable, match=message):
        resolve("beside_faulty:loss", "torch")


@pytest.mark.parametrize(("framework", "package"), [("torch", "torchvision"), ("jax", "flax")])
def test_a_missing_framework_is_told_with_what_to_install(
    framework: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_side.py").write_text(f"import {package}.of_this_name.there_is_none")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingFramework, match=rf"the {framework} side needs {package}.*\[{framework}\]"):
        resolve("beside_side:loss", framework)  # type: ignore[arg-type]


# Pair files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such pair file"),
        ("x = 1", "defines no pair"),
        ("pair = 1", "defines no pair"),
        ("1 / 0", "does not run: ZeroDivisionError"),
        ("import no_such_module", "does not run: ModuleNotFoundError"),
        ("def", "does not run: SyntaxError"),
        ("import parity; pair = parity.Pair(torch={}, jax={})", "broken.py: pair: the torch side names no model"),
    ],
)
def test_a_pair_file_that_defines_no_pair_is_told(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "broken.py"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NotCheckable, match=message) as raised:
        load_pair(file)
    assert str(file) in str(raised.value)


def test_loading_the_three_pairs_imports_neither_framework_nor_wing() -> None:
    for name in ("line_fit", "mlp", "mnist"):
        found = load_pair(ROOT / "parity_tests" / "pairs" / f"{name}.py")
        assert found.name == name
        assert "compiled" in found.torch.loops
        assert "compiled" not in found.jax.loops


# Which pairs are meant


def configure(folder: Path, *files: Path) -> None:
    listed = ", ".join(f'"{file.relative_to(folder)}"' for file in files)
    (folder / "pyproject.toml").write_text(f"[tool.parity]\npairs = [{listed}]")


def names(found: list[Chosen]) -> list[str]:
    return [chosen.pair.name for chosen in found]


def test_all_configured_pairs_or_those_named_each_once(tmp_path: Path) -> None:
    one, two = pair_file(tmp_path / "p"), pair_file(tmp_path / "p", "2.py", "two")
    other = pair_file(tmp_path / "elsewhere", "other.py", "other")
    configure(tmp_path, one, two)
    assert names(chosen_pairs([], tmp_path)) == ["one", "two"]
    assert names(chosen_pairs(["two"], tmp_path)) == ["two"]
    assert names(chosen_pairs(["two", "elsewhere/other.py", "p/2.py"], tmp_path)) == ["two", "other"]
    assert chosen_pairs([str(other)], tmp_path / "p")[0].file == other


def test_no_pair_configured_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotCheckable, match=r"no pair is configured: name a pair file.*\[tool.parity\].*pair = Pair\("):
        chosen_pairs([], tmp_path)
    with pytest.raises(NotCheckable, match="no pair is called 'mnist': no pair is configured"):
        chosen_pairs(["mnist"], tmp_path)


def test_an_unknown_name_is_told_with_those_there_are(tmp_path: Path) -> None:
    configure(tmp_path, pair_file(tmp_path), pair_file(tmp_path, "two.py", "two"))
    with pytest.raises(NotCheckable, match="no pair is called 'three': the configured pairs are one, two"):
        chosen_pairs(["three"], tmp_path)


def test_a_fault_in_another_pair_does_not_stand_in_the_way_of_a_named_one(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    configure(tmp_path, broken, pair_file(tmp_path))
    assert names(chosen_pairs(["one"], tmp_path)) == ["one"]
    with pytest.raises(NotCheckable, match="does not run"):
        chosen_pairs([], tmp_path)


def test_two_pairs_of_one_name_are_refused(tmp_path: Path) -> None:
    configure(tmp_path, pair_file(tmp_path), pair_file(tmp_path, "again.py"))
    with pytest.raises(NotCheckable, match=r"two pairs are called one: .*one.py and .*again.py"):
        chosen_pairs([], tmp_path)


# Modules beside a pair file


def test_modules_beside_the_pair_file_are_found_while_it_is_checked(tmp_path: Path) -> None:
    file = pair_file(tmp_path)
    (tmp_path / "beside_model.py").write_text("update = 'found'")
    before = list(sys.path)
    with importable(file):
        assert resolve("beside_model:update", "torch") == "found"
    assert sys.path == before
    with pytest.raises(NotCheckable, match="no module named 'beside_gone'"):
        resolve("beside_gone:update", "torch")


@pytest.mark.parametrize("package", [False, True], ids=["module", "package"])
def test_another_pairs_module_of_the_same_name_is_not_taken(tmp_path: Path, package: bool) -> None:
    files = [pair_file(tmp_path / folder, name=folder) for folder in ("a", "b")]
    for file in files:
        module = file.parent / ("beside_model/__init__.py" if package else "beside_model.py")
        module.parent.mkdir(exist_ok=True)
        module.write_text(f"update = {file.parent.name!r}")
    with importable(files[0], files):
        assert resolve("beside_model:update", "torch") == "a"
    with pytest.raises(NotCheckable, match="beside_model beside it is already imported"), importable(files[1], files):
        pass


def test_pairs_of_one_folder_share_its_modules(tmp_path: Path) -> None:
    files = [pair_file(tmp_path), pair_file(tmp_path, "two.py", "two")]
    (tmp_path / "beside_model.py").write_text("update = 'shared'")
    for file in files:
        with importable(file, files):
            assert importlib.import_module("beside_model").update == "shared"


@pytest.mark.parametrize("checked", ["beside_model.py", "another.py"])
def test_a_pair_file_does_not_hide_the_module_that_it_is_named_after(tmp_path: Path, checked: str) -> None:
    (tmp_path / "beside_model.py").write_text("update = 'the model'")
    at_the_top = pair_file(tmp_path, "top.py", "top")
    files = [pair_file(tmp_path / "pairs", name) for name in ("beside_model.py", "another.py")]
    before = list(sys.meta_path)
    for file in (tmp_path / "pairs" / checked, *files):
        with importable(file, [at_the_top, *files], tmp_path):
            assert resolve("beside_model:update", "torch") == "the model"
    assert sys.meta_path == before


def test_a_pair_file_may_hold_its_own_parts(tmp_path: Path) -> None:
    file = pair_file(tmp_path, "beside_parts.py", module="beside_parts")
    with file.open("a") as opened:
        opened.write("update = 'beside the pair'")
    with importable(file, base=tmp_path / "elsewhere"):
        assert resolve("beside_parts:update", "torch") == "beside the pair"


def test_what_a_pair_says_of_its_scores_is_empty_unless_said() -> None:
    side = Side.from_module("anything", update=never)
    made = Pair(name="quiet", torch=side, jax=side)
    assert (made.scored_on, made.published, made.labels) == ({}, {}, None)
