"""Names of modules and arrays with the habits of both worlds taken out, so that they can be compared."""

from __future__ import annotations

import re
from typing import NamedTuple

QUERY, KEY, VALUE, PACKED = "query", "key", "value", "query key value"
_PARTS_OF_ATTENTION = {
    QUERY: "q query qproj queryproj projq wq toq qlin queryprojection",
    KEY: "k key kproj keyproj projk wk tok klin keyprojection",
    VALUE: "v value vproj valueproj projv wv tov vlin valueprojection",
    PACKED: "qkv cattn inproj qkvproj projqkv toqkv wqkv querykeyvalue",
}
_STEMS = {word: part for part, words in _PARTS_OF_ATTENTION.items() for word in words.split()}
_ROLES = {
    "weight": "weight kernel scale embedding w gamma",
    "bias": "bias b beta offset",
    "mean": "mean runningmean",
    "var": "var runningvar variance",
    "counter": "numbatchestracked count counter",
    "magnitude": "original0 g weightg kernelg",
    "direction": "original1 v weightv kernelv",
}
"""The last two are of a weight that is normed, as PyTorch's `weight_norm` has it, the newer and the older one."""
_ROLE = {word: role for role, words in _ROLES.items() for word in words.split()}


class Key(NamedTuple):
    """A name as its stem and the number behind it: `layers_0`, `layers0` and `layers.0` are all ("layers", 0)."""

    stem: str
    number: int | None


def plain(name: str) -> str:
    """A name without its case, its underscores and the scope that Haiku puts before it."""
    return name.rpartition("/")[2].lower().replace("_", "")


def key(name: str) -> Key:
    """The stem and number of a module's own name."""
    found = re.fullmatch(r"(.*?)(\d*)", plain(name))
    assert found is not None
    stem, number = found.groups()
    return Key(_STEMS.get(stem, stem), int(number) if number else None)


def is_bias(own: str, shape: tuple[int, ...]) -> bool:
    """Whether an array of its layer is a bias, also one of a plain tree that is called `b`."""
    return "bias" in plain(own) or (role(own) == "bias" and len(shape) == 1)


def role(own: str) -> str:
    """What an array is in its layer: weight, bias, mean, var, counter, magnitude, direction, or its plain name."""
    return _ROLE.get(plain(own), plain(own))
