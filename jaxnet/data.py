"""MNIST: 70,000 images of handwritten digits with their labels, read once in a process."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import math
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

Images = UInt8[np.ndarray, "examples 28 28"]
Labels = UInt8[np.ndarray, "examples"]

ARCHIVE = Path(__file__).resolve().parent.parent / "data" / "mnist.npz"
_ARCHIVE_BYTES = 11_490_519
_ARCHIVE_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"

# The names of the original files, in the order of Mnist's fields.
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_IMAGE = (28, 28)
_CLASSES = 10


class DataError(Exception):
    """The data could not be read: one line that names the file, what was expected and what to do."""


class Mnist(NamedTuple):
    """Images with pixels 0 (background) to 255, and labels 0 to 9. Of MNIST: 60,000 to train on and 10,000 to test on.

    The arrays are read-only, since everybody in the process shares them.
    """

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels


def read_mnist(folder: Path | None = None) -> Mnist:
    """MNIST from the checkout's archive, or another data set of the same layout from `folder`.

    `folder` holds four IDX files under their original names (train-images-idx3-ubyte, train-labels-idx1-ubyte,
    t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte), plain or with .gz behind; or it holds them in MNIST/raw, where
    torchvision puts them. Images are 28 by 28 bytes and labels 0 to 9; any number of examples from one up will do.
    A second call returns the same arrays without a look at the files.

    Raises DataError where a file is missing, truncated, altered or of another layout.

    data/README.md has the archive's source and checksums, and what an IDX file is.
    """
    return _read(None if folder is None else Path(folder).resolve())


@functools.cache
def _read(folder: Path | None) -> Mnist:
    data = _read_archive() if folder is None else _read_folder(folder)
    for array in data:
        array.setflags(write=False)
    return data


def _read_archive() -> Mnist:
    try:
        content = ARCHIVE.read_bytes()
    except OSError as error:
        raise DataError(
            f"{ARCHIVE}: cannot be read ({error.strerror}); expected MNIST's archive, which a checkout has and an "
            "installed wheel has not: name a folder of IDX files (--data FOLDER)"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _ARCHIVE_SHA256:
        raise DataError(
            f"{ARCHIVE}: truncated or altered; expected {_ARCHIVE_BYTES} bytes with SHA-256 {_ARCHIVE_SHA256}, "
            f"found {len(content)} bytes with {digest}: restore it (git checkout -- data/mnist.npz)"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Mnist(arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"])


def _read_folder(folder: Path) -> Mnist:
    files = _find(folder)
    data = Mnist(*(_read_idx(file, item) for file, item in zip(files, (_IMAGE, (), _IMAGE, ()), strict=True)))
    for images, labels in ((0, 1), (2, 3)):
        if len(data[images]) != len(data[labels]):
            raise DataError(
                f"{files[labels]}: {len(data[labels])} labels for the {len(data[images])} images of "
                f"{files[images].name}; expected as many of one as of the other: put files of one data set there"
            )
    return data


def _find(folder: Path) -> list[Path]:
    """The four files, all from one place, so that two data sets are never mixed."""
    places = (folder, folder / "MNIST" / "raw")
    place = next((place for place in places if any(_stored(place, name) for name in _FILES)), folder)
    files = []
    for name in _FILES:
        file = _stored(place, name)
        if file is None:
            raise DataError(
                f"{place / name}: no such file that can be read; expected MNIST's four IDX files, plain or .gz, in "
                f"{folder} or in MNIST/raw below it ({', '.join(_FILES)}): put them there or name another folder"
            )
        files.append(file)
    return files


def _stored(place: Path, name: str) -> Path | None:
    return next((file for file in (place / name, place / f"{name}.gz") if os.path.isfile(file)), None)


def _read_idx(file: Path, item: tuple[int, ...]) -> UInt8[np.ndarray, "examples ..."]:
    content = _content(file)
    _check_content(file, content, item)
    return np.frombuffer(content, np.uint8, offset=8 + 4 * len(item)).reshape(-1, *item)


def _content(file: Path) -> bytes:
    """The bytes of an IDX file, unpacked."""
    try:
        content = file.read_bytes()
        return gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: cannot be read ({error}); expected an IDX file: fetch it again") from error


def _check_content(file: Path, content: bytes, item: tuple[int, ...]) -> None:
    """That an IDX file holds bytes in examples of shape `item`, and as many of them as its header says.

    The header: a magic number, then the length of each axis, all in four bytes with the highest first.
    """
    axes = 1 + len(item)
    start = 4 * (1 + axes)
    if len(content) < start:
        raise DataError(f"{file}: truncated; expected at least {start} bytes, found {len(content)}: fetch it again")
    # 8 stands for bytes, and what follows it is the number of axes.
    expected = 0x0800 + axes
    magic, count, *shape = struct.unpack(f">{1 + axes}I", content[:start])
    if magic != expected:
        raise DataError(f"{file}: expected an IDX file with magic number {expected}, found {magic}: fetch it again")
    if tuple(shape) != item:
        raise DataError(f"{file}: expected images of shape {item}, found {tuple(shape)}: name another folder")
    length = start + count * math.prod(item)
    if count == 0 or len(content) != length:
        raise DataError(
            f"{file}: truncated or altered; its header tells of {count} examples; expected at least one, and "
            f"{length} bytes in all, found {len(content)}: fetch it again"
        )
    if not item and max(content[start:]) >= _CLASSES:
        raise DataError(
            f"{file}: expected labels 0 to {_CLASSES - 1}, found {max(content[start:])}: name another folder"
        )
