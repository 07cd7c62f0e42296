"""JAX leaves that hold one array for each of several layers, as a scan over layers has them: taken apart, and back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

from parity.weight_map.entry import Entry, Part
from parity.weight_map.names import is_bias, key
from parity.weight_map.outline import Module, Outline, Shape, Shapes
from parity.weight_map.tree import tree
from parity.weight_map.weight_map import WeightMap, held_alone


class Stack(NamedTuple):
    """A JAX module all of whose arrays hold so many `layers` along `axis`."""

    module: str
    axis: int
    layers: int

    def holds(self, name: str) -> bool:
        """Whether a module or an array, by its full name, is this module or in it."""
        return _is_in(name, self.module)

    def inner(self, name: str, index: int) -> str:
        """What is called `name` in the layer of that index."""
        rest = name.removeprefix(self.module).removeprefix(".")
        return ".".join(part for part in (self.module, str(index), rest) if part)

    def outer(self, name: str) -> str:
        """The way back from `inner`, whatever the index."""
        rest = name.removeprefix(self.module).removeprefix(".").partition(".")[2]
        return ".".join(part for part in (self.module, rest) if part)

    def layer_of(self, name: str) -> int:
        """The index of the layer that a module is in, once the stack is taken apart; -1 where it is in none."""
        rest = name.removeprefix(self.module).removeprefix(".").partition(".")[0]
        return int(rest) if self.holds(name) and rest else -1

    def has_layer(self, path: str) -> bool:
        """Whether a path names one of the layers, by its number, or what is in it."""
        number = path.removeprefix(f"{self.module}." if self.module else "").partition(".")[0]
        return self.holds(path) and number.isdecimal() and int(number) < self.layers

    def in_each(self, inner: Stack) -> list[Stack]:
        """A stack in the first layer of this one with those in the others; one that is not there, by itself."""
        if self.layer_of(inner.module) != 0:
            return [inner]
        rest = inner.module.removeprefix(self.inner(self.module, 0))
        return [inner._replace(module=self.inner(self.module, index) + rest) for index in range(self.layers)]

    def __str__(self) -> str:
        first, last = (self.inner(self.module, index) for index in (0, self.layers - 1))
        name = self.module or "the jax side's model"
        return f"{name} is taken to hold {self.layers} layers stacked along axis {self.axis}, {first} to {last}"


@dataclass(frozen=True)
class Unstacked:
    """A JAX model as it would be with a module for each layer.

    Attributes:
        outline: of that model.
        stacks: what was taken apart, in that order.
        parts: by name there, what each array that was taken apart is of the model's own leaf.
    """

    outline: Outline
    stacks: tuple[Stack, ...]
    parts: dict[str, Part]

    @property
    def leaf_of(self) -> dict[str, str]:
        """By name there, the leaf of the model as it is that holds an array and those of other layers."""
        return {name: part.name for name, part in self.parts.items()}

    @property
    def listed(self) -> list[str]:
        """What was taken apart, a line each; of what is so in every layer of a stack, of the first."""
        return [str(stack) for stack in self.stacks if not self.is_later(stack.module)]

    def is_later(self, name: str) -> bool:
        """Whether a module is in a layer of a stack that is not the first."""
        return any(stack.layer_of(name) > 0 for stack in self.stacks)

    def without(self, stack: Stack) -> Unstacked:
        """With one more stack taken apart and, where it is in the first layer of another, with those in all layers."""
        alike = [stack]
        for outer in self.stacks:
            alike = [other for one in alike for other in outer.in_each(one)]
        found = self
        for one in alike:
            found = found._without_one(one)
        return found

    def _without_one(self, stack: Stack) -> Unstacked:
        inside = [module for module in self.outline.modules if stack.holds(module.name)]
        modules: list[Module] = []
        parts = {name: part for name, part in self.parts.items() if not stack.holds(name)}
        for module in self.outline.modules:
            if module is inside[0]:
                modules += [_list(module), *(_layer(inner, stack, i) for i in range(stack.layers) for inner in inside)]
            elif not stack.holds(module.name):
                modules.append(module)
        for module in inside:
            for own, shape in _shapes(module).items():
                part = self.parts.get(name := module.full(own), Part(name, shape))
                parts |= {stack.inner(name, i): part.pick(stack.axis, i) for i in range(stack.layers)}
        outline = replace(self.outline, modules=tuple(modules), tied=_tied(self.outline.tied, stack))
        return Unstacked(outline, (*self.stacks, stack), parts)

    def back(self, weights: WeightMap) -> WeightMap:
        """The map of the model as it is, from the map of the model that was taken apart."""
        alone = tuple(dict.fromkeys(self.leaf_of.get(name, name) for name in weights.apart.jax))
        said = {held_alone("jax", name) for name in weights.apart.jax}
        return replace(
            weights,
            entries=tuple(self._entry(entry) for entry in weights.entries),
            listed=[
                *(line for line in weights.listed if line not in said), *(held_alone("jax", name) for name in alone),
                *self.listed,
            ],
            # Nobody calls the list that a stack was taken apart into.
            layers={
                self._path(path): layer for path, layer in weights.layers.items()
                if path not in {stack.module for stack in self.stacks}
            },
            apart=replace(weights.apart, jax=alone),
        )  # fmt: skip

    def _path(self, path: str) -> str:
        """The path of a layer in the model as it is, and which one it is in what holds several."""
        indices: list[int] = []
        # What is in a stack was taken apart behind it.
        for stack in reversed(self.stacks):
            if (index := stack.layer_of(path)) >= 0:
                path, indices = stack.outer(path), [index, *indices]
        return in_stack(path, tuple(indices)) if indices else path

    def _entry(self, entry: Entry) -> Entry:
        found, jax = self.parts.get(entry.jax.name), entry.jax
        if found is None:
            return entry
        return entry._replace(jax=jax._replace(name=found.name, whole=found.whole, at=found.at))


def unstacked(
    torch: Outline, jax: Outline, left: Callable[[Unstacked], float], overrides: Mapping[str, str]
) -> Unstacked:
    """The JAX model with every stack of layers taken apart, those in the layers of another stack included.

    A module may be a stack where all its arrays have one length along their first axis, or all along their second, and
    one of so many layers would have as many numbers as torch's modules of a list have. Where what only looks like one
    is among them, those are of whose layers the `overrides` name one, and then those that leave fewer numbers `left`
    without a counterpart once they are taken apart.
    """
    lists = _lists(torch)
    every = found = Unstacked(jax, (), {})
    while stack := next(_stacks(lists, every), None):
        every = every.without(stack)
    if not every.stacks or not left(every):
        return every
    paths = [line.partition(": ")[0] for line in overrides.values()]
    while stack := next((one for one in _stacks(lists, found) if any(map(one.has_layer, paths))), None):
        found = found.without(stack)
    least, tries = left(found), _stacks(lists, found)
    while least and (stack := next(tries, None)):
        attempt = found.without(stack)
        if (now := left(attempt)) < least:
            found, least, tries = attempt, now, _stacks(lists, attempt)
    return found


def in_stack(path: str, indices: tuple[int, ...]) -> str:
    """How a map calls one of the layers that a JAX module holds: `blocks.widen[1]`."""
    return f"{path}[{', '.join(map(str, indices))}]"


Lists = dict[int, set[int]]
"""How long the lists of a model are, by how many trained numbers each of their modules has."""


def _lists(torch: Outline) -> Lists:
    found: Lists = defaultdict(set)
    for node in tree(torch, dict.fromkeys(torch.tied)).all():
        numbered = [child for child in node.children if key(child.name).number is not None]
        for numbers, length in Counter(child.weights() for child in numbered).items():
            found[numbers].add(length)
    return found


def _stacks(lists: Lists, found: Unstacked) -> Iterator[Stack]:
    """Modules that may be one, outer ones first; of modules that hold nothing but each other, the innermost.

    What holds a stack that was taken apart is none: where a layer is as wide as there are layers, it looks like one.
    """
    jax = found.outline
    inside_of = _inside(jax)
    for module in jax.modules:
        inside = inside_of[module.name]
        taken = any(_is_in(stack.module, module.name) for stack in found.stacks)
        if taken or found.is_later(module.name) or _wraps(module, inside):
            continue
        for axis in range(2):
            shapes = [shape for one in inside for shape in _shapes(one).values()]
            lengths = {shape[axis] if axis < len(shape) else 0 for shape in shapes}
            stack = Stack(module.name, axis, min(lengths, default=0))
            divided = any(stack.holds(name) != stack.holds(first) for name, first in jax.tied.items())
            if len(lengths) == 1 and stack.layers and not divided and _is_listed(lists, stack, inside_of, jax.tied):
                yield stack


def _is_listed(lists: Lists, stack: Stack, inside_of: dict[str, list[Module]], tied: Container[str]) -> bool:
    """Whether torch may have the layers in a list, or in turns what is numbered in them, as a scan of groups has it."""
    own = {
        module.name: [shape for one in inside_of[module.name] for shape in _weights(one, stack, tied)]
        for module in inside_of[stack.module]
    }
    # What has vectors only is a row of a table more often than a layer.
    if max(map(len, own[stack.module]), default=0) < 2:
        return False
    numbers = {name: sum(map(prod, shapes)) for name, shapes in own.items()}
    inner = [name for name in numbers if name and name.rpartition(".")[0] == stack.module]
    group = [numbers[name] for name in inner if key(name.rpartition(".")[2]).number is not None]
    alike = len(group) > 1 and len({*group}) == 1 and sum(group) == numbers[stack.module]
    return numbers[stack.module] in lists or (alike and len(group) * stack.layers in lists.get(group[0], ()))


def _is_in(name: str, module: str) -> bool:
    return not module or name == module or name.startswith(f"{module}.")


def _inside(jax: Outline) -> dict[str, list[Module]]:
    """Each module by name, with all that are in it behind it."""
    found: dict[str, list[Module]] = {}
    for module in jax.modules:
        found[module.name] = []
        parts = module.name.split(".") if module.name else []
        for depth in range(len(parts) + 1):
            found[".".join(parts[:depth])].append(module)
    return found


def _wraps(module: Module, inside: list[Module]) -> bool:
    """Whether a module holds nothing but one other."""
    depth = module.name.count(".") + 1 if module.name else 0
    children = {".".join(one.name.split(".")[: depth + 1]) for one in inside if _shapes(one) and one is not module}
    return not _shapes(module) and len(children) < 2


def _shapes(module: Module) -> Shapes:
    return module.parameters | module.buffers


def _weights(module: Module, stack: Stack, tied: Container[str]) -> list[Shape]:
    """The shapes of what one layer trains in a module of a stack, but for biases, as `Node.weights` counts them."""
    own = {own: shape for own, shape in module.parameters.items() if module.full(own) not in tied}
    layer = _layer(replace(module, parameters=own), stack, 0)
    return [shape for own, shape in layer.parameters.items() if not is_bias(own, shape)]


def _layer(module: Module, stack: Stack, index: int) -> Module:
    """What a module of a stack is of the layer of that index."""
    parameters, buffers = (
        {own: (*shape[: stack.axis], *shape[stack.axis + 1 :]) for own, shape in shapes.items()}
        for shapes in (module.parameters, module.buffers)
    )
    return replace(module, name=stack.inner(module.name, index), parameters=parameters, buffers=buffers)


def _list(module: Module) -> Module:
    """The module that held a stack, as the list of its layers."""
    config = {name: value for name, value in module.config.items() if name == "sorted"}
    return Module(module.name, module.kind and "List", {}, {}, config)


def _tied(tied: dict[str, str], stack: Stack) -> dict[str, str]:
    """Further names of arrays, of those in a stack by layer."""
    inside = {name: first for name, first in tied.items() if stack.holds(name)}
    found = {name: first for name, first in tied.items() if name not in inside}
    for index in range(stack.layers):
        found |= {stack.inner(name, index): stack.inner(first, index) for name, first in inside.items()}
    return found
