"""MNIST: 70,000 images of handwritten digits with their labels, read once in a process."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.client
import io
import math
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

Images = UInt8[np.ndarray, "examples 28 28"]
Labels = UInt8[np.ndarray, "examples"]

ARCHIVE = Path(__file__).resolve().parent.parent / "data" / "mnist.npz"
_ARCHIVE_BYTES = 11_490_519
_ARCHIVE_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"

# The original files, in the order of Mnist's fields, with their MD5 sums.
_FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
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


def read_mnist(
    folder: Path | None = None,
    download: bool = False,
) -> Mnist:
    """MNIST from the checkout's archive, or another data set of the same layout from `folder`.

    `folder` holds four IDX files under their original names (train-images-idx3-ubyte, train-labels-idx1-ubyte,
    t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte), plain or with .gz behind; or it holds them in MNIST/raw, where
    torchvision puts them. Images are 28 by 28 bytes and labels 0 to 9; any number of examples from one up will do.
    A second call returns the same arrays without a look at the files.

    With `download`, torchvision fetches the original files where the cache has none, and the archive is not read. A
    download goes to the cache, so that a `folder` beside it is a mistake.

    Raises DataError where a file is missing, truncated, altered or of another layout.

    data/README.md has the archive's source and checksums, and what an IDX file is.
    """
    if folder is not None and download:
        raise DataError(f"{folder}: a download goes to the cache; ask for either --data FOLDER or --download")
    if download:
        _fill_cache(_torchvision_datasets(), _download)
    return _read(None if folder is None else Path(folder).resolve())


@functools.cache
def _read(folder: Path | None) -> Mnist:
    datasets = _torchvision_datasets()
    data = _read_cache(datasets) if folder is None else _read_folder(datasets, folder)
    for array in data:
        array.setflags(write=False)
    return data


def _torchvision_datasets() -> Any:
    """torchvision.datasets, imported where it is needed: it takes a second, and its build may not go with torch's."""
    try:
        from torchvision import datasets
    except ModuleNotFoundError as error:
        raise DataError(f"no module {error.name}: MNIST is read by torchvision, install the extra torch") from error
    except Exception as error:  # an operator missing, a library not found, a half-imported module: all mean the same
        versions = " and ".join(f"{name} {metadata.version(name)}" for name in ("torch", "torchvision"))
        raise DataError(
            f"torchvision does not load ({str(error).partition(chr(10))[0]}); expected builds of one kind, found "
            f"{versions}: install both from one index (CPU builds, or builds for one CUDA version)"
        ) from error
    return datasets


def _read_archive() -> Mnist:
    try:
        content = ARCHIVE.read_bytes()
    except OSError as error:
        raise DataError(
            f"{ARCHIVE}: cannot be read ({error.strerror}); expected MNIST's archive, which a checkout has and an "
            "installed wheel has not: name a folder of IDX files (--data FOLDER) or fetch them (--download)"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _ARCHIVE_SHA256:
        raise DataError(
            f"{ARCHIVE}: truncated or altered; expected {_ARCHIVE_BYTES} bytes with SHA-256 {_ARCHIVE_SHA256}, "
            f"found {len(content)} bytes with {digest}: restore it (git checkout -- data/mnist.npz)"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Mnist(arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"])


def _read_cache(datasets: Any) -> Mnist:
    """The four original files through torchvision."""
    _fill_cache(datasets, _unpack)
    train, test = datasets.MNIST(_cache(), train=True), datasets.MNIST(_cache(), train=False)
    # torchvision has read the labels into int64.
    return Mnist(
        train.data.numpy(),
        train.targets.numpy().astype(np.uint8),
        test.data.numpy(),
        test.targets.numpy().astype(np.uint8),
    )


def _fill_cache(datasets: Any, fetch: Callable[[Any, Path], None]) -> None:
    """Puts the original files where torchvision reads them, as far as they are not there."""
    root = _cache()
    raw = root / "MNIST" / "raw"
    missing = [name for name in _FILES if not _is_original(raw / name)]
    if not missing:
        return
    try:
        raw.mkdir(parents=True, exist_ok=True)
        # Each file is made elsewhere and then moved as a whole: whoever reads or writes here at the same time, or
        # breaks off, leaves either nothing or the right bytes.
        with tempfile.TemporaryDirectory(dir=root, prefix="unpacking-") as temporary:
            fetch(datasets, Path(temporary))
            for name in missing:
                os.replace(Path(temporary) / "MNIST" / "raw" / name, raw / name)
    except OSError as error:
        raise DataError(
            f"{root}: cannot be written ({error.strerror}); expected a folder for MNIST's IDX files: "
            "set XDG_CACHE_HOME to one that can be written"
        ) from error


def _cache() -> Path:
    """The folder that torchvision reads, named after the archive, so that another archive has another folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        raise DataError(f"{base}: expected a home folder: set XDG_CACHE_HOME to a folder that can be written")
    return Path(base) / "one-network-twice" / f"mnist-{_ARCHIVE_SHA256[:12]}"


def _is_original(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError:
        return False
    return found == _FILES[file.name]


def _unpack(_datasets: Any, root: Path) -> None:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in zip(_FILES, _read_archive(), strict=True):
        header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
        (raw / name).write_bytes(header + array.tobytes())


def _download(datasets: Any, root: Path) -> None:
    try:
        datasets.MNIST(root, download=True)
    except (RuntimeError, OSError, EOFError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"torchvision could not download MNIST ({reason}): try again, or use --data FOLDER") from error
    for name in _FILES:
        if not _is_original(root / "MNIST" / "raw" / name):
            raise DataError(f"{name}: downloaded, but not the original file with MD5 {_FILES[name]}: try again")


def _read_folder(datasets: Any, folder: Path) -> Mnist:
    files = _find(folder)
    data = Mnist(
        _read_idx(files[0], _IMAGE, datasets.mnist.read_image_file),
        _read_idx(files[1], (), datasets.mnist.read_label_file),
        _read_idx(files[2], _IMAGE, datasets.mnist.read_image_file),
        _read_idx(files[3], (), datasets.mnist.read_label_file),
    )
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


def _read_idx(file: Path, item: tuple[int, ...], read: Callable[[str], Any]) -> UInt8[np.ndarray, "examples ..."]:
    """What torchvision's `read` finds in the file, which it takes unpacked and without a check of its length."""
    content = _content(file)
    _check_content(file, content, item)
    if file.suffix != ".gz":
        return np.asarray(read(str(file)), np.uint8)
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / file.stem
        plain.write_bytes(content)
        return np.asarray(read(str(plain)), np.uint8)


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
