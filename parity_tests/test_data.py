"""Both wings read the same bytes, those of the original files, and one clear line comes where they cannot."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

README = Path(__file__).parent.parent / "data" / "README.md"
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    """An IDX file: 8 is the code for bytes."""
    return struct.pack(f">{1 + array.ndim}I", 256 * kind + array.ndim, *array.shape) + array.tobytes()


def tiny_set() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    arrays = (
        generator.integers(0, 256, (6, 28, 28)),
        np.arange(6) + 4,
        generator.integers(0, 256, (3, 28, 28)),
        np.arange(3),
    )
    return dict(zip(NAMES, (array.astype(np.uint8) for array in arrays), strict=True))


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def tiny_files() -> dict[str, bytes]:
    return {name: idx(array) for name, array in tiny_set().items()}


def refusal(wing: ModuleType, folder: Path | None) -> str:
    """The one line with which the wing refuses to read."""
    with pytest.raises(wing.DataError) as caught:
        wing.read_mnist(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(params=["torchnet", "jaxnet"])
def wing(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A wing that has not read anything yet, with an empty cache folder."""
    module = importlib.import_module(f"{request.param}.data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module._read.cache_clear()
    yield module
    module._read.cache_clear()


# The archive


def test_readme_has_the_archive_and_its_checksum() -> None:
    content = README.with_name("mnist.npz").read_bytes()
    assert f"| mnist.npz | {len(content)} | {hashlib.sha256(content).hexdigest()} |" in README.read_text()


def test_the_wing_reads_the_bytes_of_the_original_files(wing: ModuleType) -> None:
    table = re.findall(r"^\| (\S+-ubyte) \| `\w+` \| (\d+) \| ([0-9a-f]{32}) \|$", README.read_text(), re.MULTILINE)
    data = wing.read_mnist()
    files = [idx(array) for array in data]
    found = [(name, str(len(file)), hashlib.md5(file).hexdigest()) for name, file in zip(NAMES, files, strict=True)]
    assert found == table
    assert [array.dtype for array in data] == [np.uint8] * 4
    assert [array.shape for array in data] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    # Everybody who has printed MNIST knows how it begins.
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert not any(array.flags.writeable for array in data)
    assert wing.read_mnist() is data
    assert wing.read_mnist(folder=None) is data


def damage_missing(archive: Path) -> None:
    archive.unlink()


def damage_truncated(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-1])


def damage_altered(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[5_000_000] ^= 1
    archive.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            damage_missing,
            r"mnist\.npz: cannot be read .*a checkout has and an installed wheel has not: .*--data FOLDER",
        ),
        (
            damage_truncated,
            r"mnist\.npz: truncated or altered; expected 11490519 bytes .*found 11490518 bytes .*restore it",
        ),
        (
            damage_altered,
            r"mnist\.npz: truncated or altered; expected .* 06af5dfe.*, found 11490519 bytes .*restore it",
        ),
    ],
)
def test_a_damaged_archive_is_refused(
    wing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None], words: str
) -> None:
    archive = tmp_path / "mnist.npz"
    archive.write_bytes(wing.ARCHIVE.read_bytes())
    monkeypatch.setattr(wing, "ARCHIVE", archive)
    damage(archive)
    assert re.search(words, refusal(wing, None))
    assert not list(tmp_path.rglob("*ubyte"))


# Other IDX files


def test_another_data_set_is_read_plain_or_packed_from_the_folder_or_from_below(
    wing: ModuleType, tmp_path: Path
) -> None:
    packed = {f"{name}.gz": gzip.compress(content) for name, content in tiny_files().items()}
    folders = [
        write(tmp_path / "plain", tiny_files()),
        write(tmp_path / "packed", packed),
        write(tmp_path / "below" / "MNIST" / "raw", tiny_files()).parent.parent,
        write(tmp_path / "below and packed" / "MNIST" / "raw", packed).parent.parent,
    ]
    for folder in folders:
        data = wing.read_mnist(folder)
        assert not any(array.flags.writeable for array in data)
        for array, expected in zip(data, tiny_set().values(), strict=True):
            assert array.dtype == np.uint8
            np.testing.assert_array_equal(array, expected)
        assert wing.read_mnist(folder) is data


def test_two_data_sets_are_not_mixed(wing: ModuleType, tmp_path: Path) -> None:
    below = write(tmp_path / "MNIST" / "raw", tiny_files())
    write(tmp_path, {NAMES[1]: tiny_files()[NAMES[1]]})
    assert f"{tmp_path / NAMES[0]}: no such file" in refusal(wing, tmp_path)
    (below / NAMES[1]).unlink()
    (tmp_path / NAMES[1]).unlink()
    assert f"{below / NAMES[1]}: no such file" in refusal(wing, tmp_path)


def test_a_folder_without_the_files_is_refused(wing: ModuleType, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        words = refusal(wing, folder)
        assert words.startswith(f"{folder / NAMES[0]}: no such file")
        assert f"expected MNIST's four IDX files, plain or .gz, in {folder} or in MNIST/raw below it" in words


IMAGES, LABELS = (tiny_set()[name] for name in NAMES[:2])
FAULTS = {
    "empty": (0, b"", "truncated; expected at least 16 bytes, found 0: fetch it again"),
    "header cut off": (1, idx(LABELS)[:7], "truncated; expected at least 8 bytes, found 7: fetch it again"),
    "one byte less": (0, idx(IMAGES)[:-1], "truncated .* 6 examples; .* 4720 bytes in all, found 4719: fetch it again"),
    "one byte more": (1, idx(LABELS) + b"\1", "truncated or altered; .* 14 bytes in all, found 15: fetch it again"),
    "header of more examples": (1, struct.pack(">2I", 2049, 2**32 - 1) + bytes(6), "tells of 4294967295 examples"),
    "no examples": (0, idx(IMAGES[:0]), "tells of 0 examples; expected at least one"),
    "floats": (0, idx(IMAGES.astype(">f4"), kind=13), "expected an IDX file with magic number 2051, found 3331"),
    "labels for images": (0, idx(np.tile(LABELS, 9)), "expected .*magic number 2051, found 2049"),
    "images for labels": (1, idx(IMAGES), "expected .*magic number 2049, found 2051"),
    "a web page": (1, b"<!DOCTYPE html><html>not found", "expected an IDX file with magic number 2049"),
    "other pixels": (0, idx(IMAGES[:, :, 1:]), r"expected images of shape \(28, 28\), found \(28, 27\)"),
    "label 10": (1, idx(LABELS + np.uint8(1)), "expected labels 0 to 9, found 10"),
    "a label less": (1, idx(LABELS[:-1]), f"5 labels for the 6 images of {NAMES[0]}; expected as many"),
}


@pytest.mark.parametrize(("number", "content", "words"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("split", [0, 2], ids=["train", "test"])
def test_a_faulty_file_is_refused(
    wing: ModuleType, tmp_path: Path, split: int, number: int, content: bytes, words: str
) -> None:
    files = tiny_files()
    if split:  # the test files get the healthy training data, since the faults are made of it
        files = dict(zip(NAMES, [*files.values()][:2] * 2, strict=True))
    name = NAMES[number + split]
    words = words.replace(NAMES[0], NAMES[split])
    line = refusal(wing, write(tmp_path, files | {name: content}))
    assert line.startswith(f"{tmp_path / name}: ")
    assert re.search(words, line)


@pytest.mark.parametrize(
    "cut",
    [lambda packed: packed[:-9], lambda packed: packed[:20] + packed[24:], lambda _: b"gz"],
    ids=["truncated", "altered", "something else"],
)
def test_a_faulty_packed_file_is_refused(wing: ModuleType, tmp_path: Path, cut: Callable[[bytes], bytes]) -> None:
    packed = {f"{name}.gz": gzip.compress(content) for name, content in tiny_files().items()}
    name = f"{NAMES[2]}.gz"
    write(tmp_path, packed | {name: cut(packed[name])})
    assert re.search(
        r"-ubyte\.gz: cannot be read \(.+\); expected an IDX file: fetch it again$", refusal(wing, tmp_path)
    )
