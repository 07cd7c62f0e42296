"""Who imports what: the design's arrows, read from the source of every file outside the tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FRAMEWORKS = {"torch": {"torch", "torchvision"}, "jax": {"jax", "jaxlib", "flax", "optax", "orbax"}}
PACKAGES = {"torchnet", "jaxnet", "parity", "benchmarks", "parity_tests"}
# What else of the house a package may import besides itself. The tests may import everything.
BELOW = {
    "torchnet": set[str](),
    "jaxnet": set[str](),
    "parity": set[str](),
    "benchmarks": {"torchnet", "jaxnet", "parity"},
}
# Where a framework may be imported: the longest folder counts. Elsewhere either may be, but not both in one file.
MAY_IMPORT = {
    "torchnet": {"torch"},
    "jaxnet": {"jax"},
    "parity": set[str](),
    "parity/torch_side": {"torch"},
    "parity/jax_side": {"jax"},
}
SIDES = {"parity/torch_side": "parity.jax_side", "parity/jax_side": "parity.torch_side"}


def violations(root: Path) -> list[str]:
    """Each import below `root` that the design forbids, one line each, as "file: what it imports"."""
    found = []
    for file in _sources(root):
        relative = file.relative_to(root)
        names = set(imported(file.read_text(encoding="utf-8"), relative))
        found += [f"{relative.as_posix()}: {complaint}" for complaint in _complaints(relative, names)]
    return sorted(found)


def _sources(folder: Path) -> Iterator[Path]:
    """The Python files below, without those of the tests, of virtual environments and of what was built."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            if entry.name not in {".git", "build", "dist", "parity_tests"} and not (entry / "pyvenv.cfg").exists():
                yield from _sources(entry)
        elif entry.suffix == ".py":
            yield entry


def _complaints(file: Path, names: set[str]) -> Iterator[str]:
    roots = {name.partition(".")[0] for name in names}
    frameworks = {framework for framework, packages in FRAMEWORKS.items() if packages & roots}
    if len(frameworks) > 1:
        yield "imports both frameworks"
    folders = [parent.as_posix() for parent in file.parents]
    allowed = next((MAY_IMPORT[folder] for folder in folders if folder in MAY_IMPORT), set(FRAMEWORKS))
    for framework in sorted(frameworks - allowed):
        yield f"imports {framework}"
    package = file.parts[0]
    for other in sorted(roots & PACKAGES - BELOW.get(package, PACKAGES) - {package}):
        yield f"imports {other}"
    for folder in folders:
        if folder in SIDES and any(f"{name}.".startswith(f"{SIDES[folder]}.") for name in names):
            yield f"imports {SIDES[folder]}"


def imported(source: str, file: Path) -> Iterator[str]:
    """The full names of all that a file imports, wherever in it, also where `import_module` is given a name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                package = file.parent.parts[: len(file.parent.parts) - node.level + 1] if node.level else ()
                module = ".".join((*package, *([node.module] if node.module else [])))
                yield from (".".join(filter(None, (module, alias.name))) for alias in node.names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name
