"""The outline of a model: its modules with the names and shapes of their arrays, and nothing of its framework."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from parity.errors import NotCheckable
from parity.recording import FRAMEWORKS, Arrays, Framework

STILL = "still"
"""What a module's config calls its `still` buffers."""
Shape = tuple[int, ...]
Shapes = dict[str, Shape]


@dataclass(frozen=True)
class Module:
    """One module of a model, without what its children hold.

    Attributes:
        name: dotted path from the root; empty for the root.
        kind: the name of its class, such as "Conv2d"; empty where it is a part of a plain tree.
        parameters: shapes of its own parameters, by their own names, in order of definition.
        buffers: shapes of its own arrays that are not trained: batch statistics, counters.
        config: plain JSON values that decide how its arrays are laid out. `built_on` names the framework's class
            that a class of the user's inherits from; `sorted`, on the root, says that the order of definition is lost.
    """

    name: str
    kind: str
    parameters: Shapes
    buffers: Shapes
    config: dict[str, Any]

    def full(self, own: str) -> str:
        """The full name of one of its arrays."""
        return f"{self.name}.{own}" if self.name else own

    @property
    def still(self) -> frozenset[str]:
        """The own names of those of its buffers that are parameters of torch's with `requires_grad` off."""
        return frozenset(self.config.get(STILL, ()))


@dataclass(frozen=True)
class Outline:
    """A model's modules in order of definition, those without arrays of their own included.

    Attributes:
        framework: whose names and layout these are.
        modules: each with its own arrays.
        tied: the full name of an array that is held under more than one name, to the full name that first holds it.
    """

    framework: Framework
    modules: tuple[Module, ...]
    tied: dict[str, str]

    def arrays(self) -> Iterator[tuple[str, Shape]]:
        """Full name and shape of every parameter and buffer, the tied names included."""
        for module in self.modules:
            for own, shape in (module.parameters | module.buffers).items():
                yield module.full(own), shape

    @property
    def buffers(self) -> frozenset[str]:
        """The full names of all arrays that are not trained."""
        return frozenset(module.full(own) for module in self.modules for own in module.buffers)

    @property
    def still(self) -> frozenset[str]:
        """The full names of those buffers that are parameters of torch's with `requires_grad` off."""
        return frozenset(module.full(own) for module in self.modules for own in module.still)

    def document(self) -> dict[str, Any]:
        """The outline as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: object) -> Outline:
        """The way back.

        Raises:
            NotCheckable: anything in the document is not what `document` writes.
        """
        given = _fields(document, "an outline", ("framework", "modules", "tied"))
        if given["framework"] not in FRAMEWORKS:
            raise NotCheckable(f"an outline of {given['framework']!r}: expected one of {', '.join(FRAMEWORKS)}")
        modules, tied = given["modules"], given["tied"]
        if not isinstance(modules, list | tuple) or not _is_text(tied):
            raise NotCheckable("an outline needs a list of modules, and for `tied` an object of names")
        outline = cls(given["framework"], tuple(_module(entry) for entry in modules), tied)
        if fault := _fault_of_names([module.name for module in outline.modules]):
            raise NotCheckable(f"an outline {fault}")
        known = dict(outline.arrays())
        if strangers := sorted({*tied, *tied.values()} - known.keys()):
            raise NotCheckable(f"an outline ties {', '.join(strangers)}, which none of its modules has")
        return outline


def outline_of_arrays(framework: Framework, arrays: Arrays) -> Outline:
    """The outline of a model of which the names of its arrays are known and nothing else."""
    own: dict[str, Shapes] = {"": {}}
    for name, array in arrays.items():
        *path, last = name.split(".")
        for depth in range(len(path)):
            own.setdefault(".".join(path[: depth + 1]), {})
        own[".".join(path)][last] = array.shape
    return Outline(framework, tuple(Module(name, "", shapes, {}, {}) for name, shapes in own.items()), {})


def _fault_of_names(names: list[str]) -> str:
    """What is wrong with the names of the modules; empty where each has the module around it before it."""
    if names[:1] != [""]:
        return "does not begin with its root, whose name is empty"
    if doubled := {name for name in names if names.count(name) > 1}:
        return f"has more than one module {', '.join(sorted(doubled))}"
    orphans = [name for index, name in enumerate(names) if name and name.rpartition(".")[0] not in names[:index]]
    return f"has {orphans[0]}, and not the module around it" if orphans else ""


def _fields(document: object, what: str, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(document, dict) or set(document) != set(names):
        found = ", ".join(map(str, document)) if isinstance(document, dict) else type(document).__name__
        raise NotCheckable(f"{what} has the entries {', '.join(names)}, and not: {found}")
    return document


def _is_text(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) and isinstance(k, str) for k, v in value.items())


def _module(document: object) -> Module:
    given = _fields(document, "a module of an outline", ("name", "kind", "parameters", "buffers", "config"))
    if not isinstance(given["name"], str) or not isinstance(given["kind"], str):
        raise NotCheckable(f"a module of an outline has the name {given['name']!r} and the kind {given['kind']!r}")
    if not isinstance(given["config"], dict):
        raise NotCheckable(f"the module {given['name']!r} of an outline has no object as its config")
    parameters, buffers = (_shapes(given["name"], given[group]) for group in ("parameters", "buffers"))
    return Module(given["name"], given["kind"], parameters, buffers, given["config"])


def _shapes(module: str, given: object) -> Shapes:
    if not isinstance(given, dict) or not all(isinstance(own, str) and is_shape(s) for own, s in given.items()):
        raise NotCheckable(f"the module {module!r} of an outline has an array whose shape is no list of sizes")
    return {own: tuple(shape) for own, shape in given.items()}


def is_shape(value: object) -> bool:
    """Whether a plain JSON value is a list of sizes."""
    return isinstance(value, list | tuple) and all(type(size) is int and size >= 0 for size in value)
