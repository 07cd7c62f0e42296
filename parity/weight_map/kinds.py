"""What kind of layer a class is, by its name in either framework."""

from __future__ import annotations

import re
from typing import Any

LINEAR, CONV, CONV_TRANSPOSE, NORM, EMBEDDING, CELL, ATTENTION = (
    "linear", "convolution", "transposed convolution", "norm", "embedding", "recurrent cell", "attention",
)  # fmt: skip
UNKNOWN = ""
IN_OUT = "Conv1D"
"""The linear layer of transformers' GPT-2, whose weight is (in, out) in torch too."""

_FAMILIES = {
    LINEAR: rf"(Lazy)?Linear|NonDynamicallyQuantizableLinear|{IN_OUT}|LinearGeneral|Dense|DenseGeneral",
    CONV: r"(Lazy)?Conv[123]d|Conv",
    CONV_TRANSPOSE: r"(Lazy)?ConvTranspose[123]d|ConvTranspose",
    NORM: r"(Lazy)?(Batch|Instance)Norm[123]d|SyncBatchNorm|(Batch|Instance|Layer|Group|RMS)Norm",
    EMBEDDING: r"Embedding|EmbeddingBag|Embed",
    CELL: r"(LSTM|GRU|RNN)(Cell)?|OptimizedLSTMCell|SimpleCell",
    ATTENTION: r"Multihead(ed)?Attention|MultiHead(Dot)?(Product)?Attention",
}
_CHANNELS = re.compile(r"(Lazy)?(Conv|ConvTranspose|(Batch|Instance|Layer)Norm)[123]d|SyncBatchNorm|GroupNorm")
_AUTOMATIC = re.compile(r"([A-Z][A-Za-z]*)_\d+")


def framework_class(kind: str, config: dict[str, Any]) -> str:
    """The framework's own class that a module is or is built on; empty where it is built on none."""
    return kind if kind == IN_OUT else str(config.get("built_on", kind))


def family(kind: str, config: dict[str, Any]) -> str:
    """The family of a module; UNKNOWN where it is built on no layer of a framework's."""
    known = framework_class(kind, config)
    return next((name for name, classes in _FAMILIES.items() if re.fullmatch(classes, known)), UNKNOWN)


def automatic_kind(name: str) -> str:
    """The class that Linen has numbered itself, as in `Dense_0`; empty for any other name."""
    found = _AUTOMATIC.fullmatch(name)
    return found[1] if found and family(found[1], {}) else ""


def has_channels(kind: str, config: dict[str, Any]) -> bool:
    """Whether a torch layer's activations have their channels on axis 1."""
    return any(_CHANNELS.fullmatch(name) for name in (kind, framework_class(kind, config)))
