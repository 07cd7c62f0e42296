"""`parity map`: the weight map as it is found, printed and saved, and one line where there is none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from parity import WeightMap
from parity.command.app import main

PAIR = """
from parity import Pair, random_batches, whole
torch, jax = "parity_tests.parity.small_torch", "{jax}"
pair = Pair(
    torch=dict(model=f"{{torch}}:Small", loss=f"{{torch}}:loss", optimizer=f"{{torch}}:optimizer"),
    jax=dict(model=f"{{jax}}:{model}", loss=f"{{jax}}:loss", optimizer=f"{{jax}}:optimizer"),
    batches=random_batches(inputs=(4, 5), labels=whole(3, 4), steps=2),
    weight_map={weight_map},
)
"""
SMALL = {"jax": "parity_tests.parity.small_jax", "model": "Small", "weight_map": {}}
LINES = """\
inner.weight [6, 5] -> inner.kernel [5, 6], transpose
inner.bias [6] -> inner.bias [6], as is
norm.weight [6] -> norm.scale [6], as is
norm.bias [6] -> norm.bias [6], as is
norm.running_mean [6] -> norm.mean [6], as is
norm.running_var [6] -> norm.var [6], as is
outer.weight [3, 6] -> outer.kernel [6, 3], transpose
outer.bias [3] -> outer.bias [3], as is
norm.num_batches_tracked is held on the torch side only
"""
Said = pytest.CaptureFixture[str]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pair file of the small pair, in the current folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "small.py"
    file.write_text(PAIR.format(**SMALL))
    return file


def one_line(said: str) -> str:
    assert re.fullmatch(r"parity: [^\n]+\n", said), said
    return said


def test_the_map_is_printed_a_line_an_entry_and_then_what_is_apart(small: Path, capsys: Said) -> None:
    assert main(["map", "small.py"]) == 0
    assert capsys.readouterr() == (LINES, "")
    assert list(small.parent.iterdir()) == [small]


def test_it_is_saved_and_carries_numbers_when_it_is_loaded(small: Path, capsys: Said) -> None:
    assert main(["map", "small.py", "-o", "small.json"]) == 0
    assert capsys.readouterr().out == f"{LINES}small: the weight map is saved in small.json (8 entries)\n"
    loaded = WeightMap.load(small.parent / "small.json")
    assert f"{loaded}\n" == LINES
    tensors = {entry.torch.name: np.random.default_rng(0).normal(size=entry.torch.whole) for entry in loaded.entries}
    assert np.array_equal(loaded.to_jax(tensors)["outer.kernel"], tensors["outer.weight"].T)


def test_an_override_stands_in_it(small: Path, capsys: Said) -> None:
    small.write_text(PAIR.format(**SMALL | {"weight_map": {"norm.weight": "norm.bias", "norm.bias": "norm.scale"}}))
    assert main(["map", "small.py"]) == 0
    assert "norm.weight [6] -> norm.bias [6], as is\nnorm.bias [6] -> norm.scale [6], as is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("parts", "output", "said"),
    [
        ({"weight_map": {"outer.wait": "as is"}}, "m", 'overrides of the weight map: "outer.wait": "as is": torch has'),
        (
            {"model": "Smaller"},
            "m",
            "parity_tests.parity.small_jax:Smaller: parity_tests.parity.small_jax has no 'Smal",
        ),
        ({}, "no/folder/m", "no/folder/m: the weight map cannot be written: No such file or directory"),
        ({"model": "Smaller"}, "no/folder/m", "no/folder/m: the weight map cannot be written: No such file"),
    ],
)
def test_a_map_that_cannot_be_made_is_one_line_and_nothing_is_written(
    small: Path, capsys: Said, parts: dict[str, object], output: str, said: str
) -> None:
    small.write_text(PAIR.format(**SMALL | parts))
    assert main(["map", "small.py", "-o", output]) == 2
    out, err = capsys.readouterr()
    assert one_line(err).startswith(f"parity: small: {said}")
    assert out == ""
    assert list(small.parent.iterdir()) == [small]


def test_where_parts_of_the_side_read_the_model_there_is_no_map(small: Path, capsys: Said) -> None:
    module = "parity_tests.parity.tiny_{}"
    small.write_text(
        "from parity import Pair, Side\n"
        f"torch, jax = (Side.from_module(m, optimizer=f'{{m}}:optimizer') for m in ("
        f"'{module.format('torch')}', '{module.format('jax')}'))\n"
        "pair = Pair(torch=torch, jax=jax, steps=1)\n"
    )
    assert main(["map", "small.py"]) == 2
    said = "parity: small: the jax side names the part `arrays`, which takes the place of a weight map\n"
    assert capsys.readouterr() == ("", said)
