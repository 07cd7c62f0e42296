"""How a torch tensor becomes a JAX leaf: by the kinds of their layers, by the leaf's name, by the shapes, or asked."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from parity.weight_map.flatten import Flattened
from parity.weight_map.how import How
from parity.weight_map.kinds import CONV, CONV_TRANSPOSE, EMBEDDING, IN_OUT, LINEAR, NORM, UNKNOWN
from parity.weight_map.names import PACKED, key, plain, role
from parity.weight_map.outline import Shape
from parity.weight_map.steps import TRANSPOSE, Step, chain, shape_through
from parity.weight_map.tree import Leaf, Node
from parity.weight_map.unfit import Undecided, Unfit

Steps = tuple[Step, ...]
AS_IS: Steps = ()


class Layouts:
    """The rules, with what the user has told (`told`) and what only the user can tell (`flattened`), by torch name."""

    def __init__(self, told: Mapping[str, How], flattened: Mapping[str, Flattened]) -> None:
        self._told, self._flattened = told, flattened

    def steps(self, torch: Leaf, of: Node, jax: Leaf, jax_of: Node) -> Steps:
        """The steps from the torch array to the JAX leaf, each of its layer.

        Raises:
            Unfit: no allowed steps lead from the one shape to the other.
            Undecided: several do, and neither kinds nor names say which.
        """
        name, start, end = torch.part.name, torch.part.shape, jax.part.shape
        flattened = self._flattened.get(name)
        if how := self._told.get(name) or (flattened and self._as_its_weight(name, of)):
            return how.steps(name, start, end)
        found = self._candidates(torch, of, jax, jax_of)
        fitting = list(dict.fromkeys(steps for steps in found if shape_through(steps, start) == end))
        if not fitting:
            raise Unfit(f"{torch.part} does not become {jax.part}")
        if len(fitting) > 1:
            words = [_words(steps) for steps in fitting]
            raise Undecided(_ask(torch, jax, words), tuple(words))
        if flattened:
            words = flattened.words()
            raise Undecided(_ask(torch, jax, words, flattened.why), tuple(words))
        return fitting[0]

    def _as_its_weight(self, name: str, of: Node) -> How | None:
        """How a vector of a layer is laid out by what is told of the layer's weight; None where that says nothing."""
        weight = self._told.get(f"{name.rpartition('.')[0]}.weight")
        verb, _, numbers = weight.words.partition(" ") if weight else ("", "", "")
        if verb == "unflatten" or (verb == "flatten" and of.family == NORM):
            return How(f"flatten {numbers}")
        return How("as is") if weight and weight.words in ("as is", "transpose") else None

    def _candidates(self, torch: Leaf, of: Node, jax: Leaf, jax_of: Node) -> list[Steps]:
        start, end = torch.part.shape, jax.part.shape
        if _squeezed(start) == _squeezed(end) and len(_squeezed(start)) < 2:
            return [chain(Step("reshape", end), start=start)]
        if EMBEDDING in (of.family, jax_of.family) or plain(jax.own) == "embedding":
            return [AS_IS]
        if of.family == CONV_TRANSPOSE:
            return _by_name(jax, jax_of, _transposed_convolution(of, jax_of, start))
        if of.family == CONV:
            return _by_name(jax, jax_of, [_reshaped(_convolution(start), start, end)])
        if of.family == NORM and len(start) > 1:
            return [AS_IS, chain(Step("permute", (*range(1, len(start)), 0)), start=start)]
        if len(start) == 1:
            return [chain(Step("reshape", end), start=start)] if prod(end) == start[0] and torch.is_bias else []
        if len(start) == 2:
            return _matrix(torch, of, jax, jax_of)
        if _squeezed(start) == _squeezed(end):
            return [chain(Step("reshape", end), start=start)]
        alone = of.family == UNKNOWN and role(torch.own) == role(jax.own)
        return _as_an_image_or_a_kernel(start, jax_of) if alone else []


def _ask(torch: Leaf, jax: Leaf, words: list[str], why: str = "") -> str:
    """One line that says what to write."""
    whole = torch.part.axis is None and jax.part.axis is None
    leaf = f"{jax.part.name}: " if whole else ""
    choices = " or ".join(f'"{torch.part.name}": "{leaf}{word}"' for word in words)
    return f"{torch.part} may become {jax.part} in more than one way{why}: write the override {choices}"


def _words(steps: Steps) -> str:
    return " ".join(str(step) for step in steps if step.move != "reshape") or "as is"


def _squeezed(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _by_name(jax: Leaf, jax_of: Node, into_flax: list[Steps]) -> list[Steps]:
    """Flax's layout in a layer of Flax's and for a `kernel`, torch's for a `weight`, either for any other name."""
    if jax_of.family != UNKNOWN or plain(jax.own).startswith("kernel"):
        return into_flax
    return [AS_IS] if plain(jax.own).startswith("weight") else [AS_IS, *into_flax]


def _matrix(torch: Leaf, of: Node, jax: Leaf, jax_of: Node) -> list[Steps]:
    start, end = torch.part.shape, jax.part.shape
    if of.kind == IN_OUT:
        return [_reshaped(AS_IS, start, end)] if jax_of.family == LINEAR else _by_name(jax, jax_of, [AS_IS])
    if of.family == UNKNOWN and not plain(torch.own).startswith("weight"):
        # A parameter by itself: torch has no layout for it.
        return [AS_IS, (TRANSPOSE,)]
    if key(of.name).stem == PACKED and len(end) > 2 and end[1] != 3:
        return []
    return _by_name(jax, jax_of, [_reshaped((TRANSPOSE,), start, end)])


def _as_an_image_or_a_kernel(start: Shape, jax_of: Node) -> list[Steps]:
    """A parameter by itself, which a model of images has learned or convolves by hand: its channels come last.

    Where one shape is left by several of these, the user is asked.
    """
    kernel = _convolution(start)
    if jax_of.family == CONV:
        return [kernel]
    behind_examples = (Step("permute", (0, *range(2, len(start)), 1)),)
    without_examples = (Step("permute", (1, 2, 0)),)
    return [kernel, behind_examples, *([without_examples] if len(start) == 3 else [])]


def _convolution(start: Shape) -> Steps:
    """(out, in, *window) to (*window, in, out)."""
    return (Step("permute", (*range(2, len(start)), 1, 0)),)


def _transposed_convolution(of: Node, jax_of: Node, start: Shape) -> list[Steps]:
    """(in, out, *window) to Flax's kernel.

    Flax slides the kernel itself over the widened input, where torch slides its mirror image; with
    `transpose_kernel` it is the kernel of the convolution whose gradient this is, as torch's is.
    """
    if of.config.get("groups", 1) != 1:
        raise Unfit(f"{of.path}: a transposed convolution in groups has no counterpart in Flax")
    window = range(2, len(start))
    transposed = (Step("permute", (*window, 1, 0)),)
    mirrored = (Step("permute", (*window, 0, 1)), Step("flip", tuple(range(len(window)))))
    told = jax_of.config.get("transpose_kernel")
    return [mirrored, transposed] if told is None else [transposed if told else mirrored]


def _reshaped(steps: Steps, start: Shape, end: Shape) -> Steps:
    """The steps, and then several axes for the inputs or the outputs, as where heads have an axis of their own."""
    *_, inputs, outputs = shape = shape_through(steps, start)
    whole = prod(shape) == prod(end)
    if whole and any(prod(end[:cut]) * outputs == prod(end) and prod(end[:cut]) % inputs == 0 for cut in _cuts(end)):
        return (*steps, *chain(Step("reshape", end), start=shape)) if len(end) != len(shape) else steps
    return steps


def _cuts(shape: Shape) -> range:
    return range(1, len(shape))
