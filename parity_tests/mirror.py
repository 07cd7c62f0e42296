"""The mirror: `torchnet/x.py` beside `jaxnet/x.py` shows how the frameworks differ, and nothing else.

Read from the source alone. The wings have the same files, and in them the same names in the same order, with the same
signatures, docstrings and values. In a body, lines differ only where they mention a framework. What differs beyond that
stands in EXCEPTIONS with its reason, and an exception that is none any more is a violation, too.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

from parity_tests.imports import FRAMEWORKS
from parity_tests.mirror_exceptions import EXCEPTIONS

WINGS = ("torchnet", "jaxnet")
# What stands in torchnet, and what stands in jaxnet for it.
WORDS = {
    r"\btorchnet\b": "jaxnet",
    r"\bPyTorch\b": "JAX",
    r"\bTensor\b": "jax.Array",
    r"\btorch\.device\b": "jax.Device",
    r"\btorch\.dtype\b": "np.dtype",
    r"\bnn\.Module\b": "nnx.Module",
}
# What mentions a framework, besides what a file imports from one.
TITLES = {"PyTorch", "JAX", "Flax", "Optax"}


class Definition(NamedTuple):
    """What a name stands for, as text: a function or class by its signature, docstring and body, others by value."""

    signature: str = ""
    docstring: str = ""
    value: str = ""
    body: str = ""


class Difference(NamedTuple):
    """What differs where, and whether that is allowed: in a body, where it mentions a framework."""

    place: str
    what: str
    detail: str
    allowed: bool = False


def violations(root: Path) -> list[str]:
    """Each difference between the wings below `root` that is no exception, and each exception that is no difference."""
    found = list(_differences(root))
    excepted = {(place, what) for exception in EXCEPTIONS for place, what in _claims(exception.where)}
    complaints = [
        f"{place}: {what}: {detail}"
        for place, what, detail, allowed in found
        if not allowed and (place, what) not in excepted
    ]
    return complaints + list(_stale(root, found))


def _claims(where: dict[str, str]) -> Iterator[tuple[str, str]]:
    return ((place, what) for place, several in where.items() for what in several.split(", "))


def _stale(root: Path, found: list[Difference]) -> Iterator[str]:
    """What EXCEPTIONS says and the wings do not show."""
    differing = {(difference.place, difference.what) for difference in found}
    for exception in EXCEPTIONS:
        for place, what in _claims(exception.where):
            if what != "nothing" and (place, what) not in differing:
                yield f"exception: {place}: {what}: differs no more, or is not there"
            if what == "nothing" and not _is_same(root, place, found):
                yield f"exception: {place}: the wings do not have the same"
        files = {place.partition(" ")[0] for place in exception.where}
        for wing, told in zip(WINGS, (exception.torchnet, exception.jaxnet), strict=True):
            sources = "".join((root / wing / file).read_text() for file in files if (root / wing / file).exists())
            for code in re.findall("`(.*?)`", told):
                if code not in sources:
                    yield f"exception: {wing}: no `{code}` in {', '.join(sorted(files))}"


def _is_same(root: Path, place: str, found: list[Difference]) -> bool:
    file, _, name = place.partition(" ")
    there = all(name in definitions((root / wing / file).read_text()) for wing in WINGS)
    return there and place not in {difference.place for difference in found}


def _differences(root: Path) -> Iterator[Difference]:
    torchnet, jaxnet = ({str(file.relative_to(root / wing)): file for file in _files(root / wing)} for wing in WINGS)
    yield from _one_sided(torchnet, jaxnet)
    for name in [name for name in torchnet if name in jaxnet and name.endswith(".py")]:
        left, right = torchnet[name].read_text(), jaxnet[name].read_text()
        words = TITLES.union(_imported_from_frameworks(left), _imported_from_frameworks(right))
        mention = re.compile(rf"\b({'|'.join(sorted(words))})\b")
        for difference in _compared(definitions(left), definitions(right), mention):
            yield difference._replace(place=f"{name} {difference.place}")


def _files(wing: Path) -> list[Path]:
    return sorted(file for file in wing.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def _one_sided(torchnet: Iterable[str], jaxnet: Iterable[str]) -> Iterator[Difference]:
    yield from (Difference(name, "only torchnet", "jaxnet has none") for name in torchnet if name not in jaxnet)
    yield from (Difference(name, "only jaxnet", "torchnet has none") for name in jaxnet if name not in torchnet)


def _compared(
    torchnet: dict[str, Definition], jaxnet: dict[str, Definition], mention: re.Pattern[str]
) -> Iterator[Difference]:
    """The differences between two files, which are given by their definitions."""
    yield from _one_sided(torchnet, jaxnet)
    common = [name for name in torchnet if name in jaxnet]
    for name, other in zip(common, [name for name in jaxnet if name in torchnet], strict=True):
        if name != other:
            yield Difference(name, "order", f"here jaxnet has {other}")
            break
    for name in common:
        for what, one, other in zip(Definition._fields, torchnet[name], jaxnet[name], strict=True):
            for left, right in _hunks(one, other):
                mentioned = what == "body" and any(map(mention.search, (left, right)))
                detail = f"torchnet has {left.strip()!r}, jaxnet {right.strip()!r}"
                yield Difference(name, "neutral body" if what == "body" and not mentioned else what, detail, mentioned)


def _hunks(torchnet: str, jaxnet: str) -> Iterator[tuple[str, str]]:
    """The lines that differ; none where the texts are the same, as they are or by the wings' words for one thing."""
    if torchnet == jaxnet:
        return
    for word, other in WORDS.items():
        torchnet = re.sub(word, other, torchnet)
    left, right = torchnet.splitlines(), jaxnet.splitlines()
    for tag, start, end, other_start, other_end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag != "equal":
            yield "\n".join(left[start:end]), "\n".join(right[other_start:other_end])


def _imported_from_frameworks(source: str) -> Iterator[str]:
    packages = set[str]().union(*FRAMEWORKS.values())
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                module = alias.name if isinstance(node, ast.Import) else node.module or ""
                if module.partition(".")[0] in packages:
                    yield alias.asname or alias.name.partition(".")[0]


def definitions(source: str) -> dict[str, Definition]:
    """Every name that a file and its classes define, in order, and "module" for the file itself."""
    tree = ast.parse(source)
    module = Definition(docstring=ast.get_docstring(tree) or "")
    return {"module": module, **dict(_defined(tree, source.splitlines(), ""))}


def _defined(parent: ast.Module | ast.ClassDef, lines: list[str], prefix: str) -> Iterator[tuple[str, Definition]]:
    for node in parent.body[ast.get_docstring(parent) is not None :]:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                yield prefix + node.name, _definition(node, lines)
                if isinstance(node, ast.ClassDef):
                    yield from _defined(node, lines, f"{prefix}{node.name}.")
            case ast.Import() | ast.ImportFrom():
                pass
            case _:
                stored = [name.id for name in ast.walk(node) if isinstance(name, ast.Name) and _is_stored(name)]
                name = ", ".join(stored) or lines[node.lineno - 1].strip()
                yield prefix + name, Definition(value="\n".join(_comment(node.lineno, lines) + _text(node, lines)))


def _definition(node: ast.FunctionDef | ast.ClassDef, lines: list[str]) -> Definition:
    """A function, its body with the comments in it and above it; or a class without what it defines."""
    head = copy.copy(node)
    head.body = [ast.Expr(ast.Constant(...))]
    docstring = ast.get_docstring(node)
    body = _comment(min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]), lines)
    if isinstance(node, ast.FunctionDef):
        before = node.body[0] if docstring is not None else node.returns
        first = (before and before.end_lineno) or node.lineno
        body += lines[first : node.end_lineno]
    return Definition(ast.unparse(head), docstring or "", body="\n".join(body))


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _text(node: ast.stmt, lines: list[str]) -> list[str]:
    return lines[node.lineno - 1 : node.end_lineno]


def _comment(line: int, lines: list[str]) -> list[str]:
    """The comment that ends above a line, which is counted from 1."""
    first = line - 1
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return lines[first : line - 1]


def what_differs_table() -> str:
    """EXCEPTIONS as a table in Markdown."""
    rows = [("Where", "`torchnet`", "`jaxnet`", "Why"), ("---",) * 4]
    rows += [(_places(exception.where), *exception[1:]) for exception in EXCEPTIONS]
    escaped = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def _places(places: Iterable[str]) -> str:
    """Where a row of the table is to be seen: each file once, with the names in it."""
    names: dict[str, list[str]] = {}
    for place in places:
        file, _, name = place.partition(" ")
        names.setdefault(f"`{file}`", []).extend([f"`{name}`"] if name else [])
    return "; ".join(": ".join(filter(None, (file, ", ".join(inside)))) for file, inside in names.items())
