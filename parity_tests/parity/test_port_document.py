"""docs/port.md: followed from its first file to its last command it goes as it says, as do the lines of its table."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from parity.pair.pair import Side
from parity.weight_map.how import WORDS, How
from parity_tests.parity.port_document import (
    BLOCK,
    DOCUMENT,
    Ran,
    as_on_the_page,
    changed,
    commands,
    filled,
    follow,
    masked,
    run,
    text,
)  # fmt: skip

TEXT = text()
COMMANDS = commands(TEXT)
PAIR = "pairs/my_port.py"
LABELS = "labels=(4,), classes=10, "
# What stands in the first column of the table in section 10, and the change to the pair that makes `parity` say so.
PLANTED = {
    "no module named 'mymodle'": ("mymodel:Net", "mymodle:Net"),
    "does not import: SyntaxError": ("myport:Net", "faulty:Net"),
    "myport has no 'Network'": ("myport:Net", "myport:Network"),
    "there is no 'weights_map'": ("weight_map", "weights_map"),
    "a side has no part 'los'": ("loss=", "los="),
    "the torch side needs `batches` for the stage data": ("batches=", "scored="),
    "the torch side needs `scored` for the stage score": ("batches=random", "batches=lambda *given: random"),
    "the torch side's model (mymodel:Block) cannot be made: missing a required argument: 'width'": (
        "mymodel:Net", "mymodel:Block",
    ),
    "the torch side's loss (mymodel:loss) failed: KeyError: 'images'": ("images=", "pictures="),
    "this is the float64 run, and something is in float32": ("mymodel:loss", "low:loss"),
    "in the float64 run JAX's whole numbers are int64": ("myport:loss", "pointer:loss"),
    "the weight map cannot be found: no JAX leaf for": ("myport:Net", "fewer:Net"),
    "may become head.kernel [256, 10] in more than one way": ('"head.weight": "head.kernel: flatten 16 4 4"', ""),
    "torch has neither a tensor nor a module of that name": ('"head.weight"', '"haed.weight"'),
    "frozen: 'steam.*' is no parameter of the torch side's model": ("weight_map=", 'frozen=("steam.*",), weight_map='),
    "the jax side's loss changes head.kernel itself": ("myport:Net", "moving:Net"),
    "there is no stage 'train'": (LABELS, LABELS),
}  # fmt: skip
BESIDE = {
    "faulty.py": "def",
    "low.py": "def loss(model, batch): return model(batch['images'].float()).sum()",
    "pointer.py": """
import jax
import jax.numpy as jnp
def loss(model, batch):
    start = jnp.zeros((), jnp.int32), 0
    return jax.lax.dynamic_update_slice(model(batch['images']), jnp.zeros((1, 10)), start).sum()
""",
    "fewer.py": """
from flax import nnx
import myport
class Net(myport.Net):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.blocks = nnx.Sequential(myport.Block(16, rngs))
""",
    "moving.py": """
import myport
class Net(myport.Net):
    def __call__(self, images):
        self.head.kernel[...] = self.head.kernel[...] * 2
        return super().__call__(images)
""",
}


class Followed:
    """The page, followed to its end in a folder."""

    def __init__(self, folder: Path, ran: list[Ran]) -> None:
        self.folder, self.ran = folder, ran


@pytest.fixture(scope="module")
def followed(compiled_once: None, _compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    folder = tmp_path_factory.mktemp("port").resolve()
    with as_on_the_page() as patch:
        # The commands that are processes of their own need not compile again what was compiled here.
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(_compiled))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        yield Followed(folder, list(follow(TEXT, folder)))


@pytest.mark.parametrize(
    "index", range(len(COMMANDS)), ids=[f"{index} {command}" for index, (command, _) in enumerate(COMMANDS)]
)
def test_each_command_prints_what_the_page_says(followed: Followed, index: int) -> None:
    ran = followed.ran[index]
    assert masked(ran.printed) == masked(ran.said), ran.printed
    expected = 2 if ran.said.startswith("parity: ") else 1 if "\nDIFFER: " in ran.said else 0
    assert ran.status == expected


def test_on_the_way_the_page_is_red_and_in_the_end_it_is_green(followed: Followed) -> None:
    checks = [ran.status for ran in followed.ran if ran.command == f"parity {PAIR}"]
    assert checks == [2, 1, 0]


def section(heading: str) -> str:
    """What stands below a heading that begins so, up to the next one."""
    _, _, below = TEXT.partition(f"\n## {heading}")
    return below.partition("\n## ")[0]


ROWS = re.findall(r"^\| (`+)(.+?)\1 \| .* \|$", section("10."), re.MULTILINE)


def test_every_line_of_the_table_has_its_change() -> None:
    assert [said.strip() for _, said in ROWS] == list(PLANTED)


@pytest.mark.parametrize("said", PLANTED)
def test_each_line_of_the_table_is_what_is_said(followed: Followed, said: str) -> None:
    for file, content in BESIDE.items():
        (followed.folder / file).write_text(content)
    whole = (followed.folder / PAIR).read_text()
    old, new = PLANTED[said]
    assert old in whole
    planted = whole.replace(old, new)
    if "stage 'train'" in said:
        planted = planted.replace("    weight_map", '    stages=("train",),\n    weight_map')
    (followed.folder / "planted.py").write_text(planted)
    printed, status = run("parity planted.py", followed.folder)
    assert re.fullmatch(r"parity: [^\n]+\n", printed), printed
    assert said in printed
    assert status == 2


EXPLAINED = section("Lines that begin with `not seen`") + section("Lines that begin with `listed`")
LISTED = re.findall(r"`(.+?)`", "\n".join(re.findall(r"^\| (`.*`) \| ", EXPLAINED, re.MULTILINE)))
"""What the page says of lines that are listed or not seen; what is another in each stands there as dots."""


@functools.cache
def told_by_the_code() -> list[str]:
    """Every piece of text in the code of `parity`, but for docstrings."""
    trees = [ast.parse(file.read_text()) for file in sorted((DOCUMENT.parents[1] / "parity").rglob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    alone = {node.value for node in nodes if isinstance(node, ast.Expr)}
    texts = [node for node in nodes if isinstance(node, ast.Constant) and node not in alone]
    return [node.value for node in texts if isinstance(node.value, str)]


def unsaid(line: str) -> list[str]:
    """What of a line the code never says."""
    parts = filter(None, (part.strip(" :,") for part in line.split("...")))
    return [part for part in parts if not any(part in piece for piece in told_by_the_code())]


@pytest.mark.parametrize("line", LISTED)
def test_a_line_that_the_page_explains_is_told_by_the_code(line: str) -> None:
    assert unsaid(line) == []


def test_a_line_that_nobody_says_is_noticed() -> None:
    assert len(LISTED) > 20
    assert unsaid("taps on the ... side and nowhere else: ...") == ["side and nowhere else"]


def test_what_is_run_in_the_workflow_is_run_on_the_page() -> None:
    (workflow,) = [block for kind, block in BLOCK.findall(TEXT) if kind == "yaml"]
    lines = re.findall(r"^- run: (parity .*)$", workflow, re.MULTILINE)
    assert lines
    assert set(lines) <= {command for command, _ in COMMANDS}


def test_what_it_says_of_parts_and_overrides_is_what_there_is() -> None:
    assert {"model", "loss", "optimizer", "predict"} <= set(Side.__dataclass_fields__)
    (layouts,) = re.findall(r'^\| `"a.weight": "transpose"` \| .*: (.*) \|$', TEXT, re.MULTILINE)
    assert re.findall(r"`(.+?)`", layouts) == WORDS.split(", ")
    assert all(How.parse(words.replace("C H W", "2 3 4")) for words in WORDS.split(", "))


def test_every_linked_file_is_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", TEXT)
    assert targets
    assert [target for target in targets if not (DOCUMENT.parent / target).exists()] == []


# What the test itself would notice


TABLE = "my_port  10 steps\nforward  1.9e-03  9e12  1.0e-12  -  1e5/41  agree\nfirst difference: in blocks.0.norm, 2.5"


def test_other_figures_are_the_same_and_other_words_are_not() -> None:
    assert masked(TABLE) == masked(
        TABLE.replace("1.9e-03  9e12", "0  0").replace("1e5/41", "inf/9").replace("2.5", "1e-3")
    )
    for old, new in (("10", "20"), ("agree", "differ"), ("-  1e5", "1  1e5"), ("blocks.0", "blocks.1"), ("in b", "b")):
        assert masked(TABLE) != masked(TABLE.replace(old, new, 1)), old


def test_a_change_that_does_not_fit_is_not_made() -> None:
    assert changed("a\nb\nc\n", " a\n-b\n+d\n") == "a\nd\nc\n"
    for content in ("a\nc\n", "a\nb\na\nb\n"):
        with pytest.raises(ValueError, match="changes what is not there once"):
            changed(content, " a\n-b\n+d\n")


def test_what_was_printed_is_written_into_its_block() -> None:
    page = "a\n```console\n$ one\nold\n$ two\n```\nb\n```yaml\n$ c\n```\n"
    ran = [Ran("one", "old\n", "new \nlines\n\n", 0), Ran("two", "", "", 0)]
    assert filled(page, ran) == "a\n```console\n$ one\nnew\nlines\n$ two\n```\nb\n```yaml\n$ c\n```\n"
    assert commands(filled(page, ran)) == [("one", "new\nlines\n"), ("two", "")]
