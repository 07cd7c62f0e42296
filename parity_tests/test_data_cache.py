"""The IDX files that torchnet unpacks for torchvision: whole or not there, whatever happens at the same time."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torchvision
from torchvision.datasets import MNIST

import torchnet.data
from torchnet.data import DataError, read_mnist

TEST_LABELS = "t10k-labels-idx1-ubyte"
ROOT = Path(__file__).parent.parent


def raw(cache: Path) -> Path:
    return cache / "one-network-twice" / "mnist-06af5dfe73b7" / "MNIST" / "raw"


def contents(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the four files."""
    cache = tmp_path_factory.mktemp("unpacked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        torchnet.data._read_cache(torchvision.datasets)
    return cache


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder with nothing in it, and a wing that has not read anything."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torchnet.data._read.cache_clear()
    yield tmp_path
    torchnet.data._read.cache_clear()


@pytest.fixture
def cache(unpacked: Path, empty: Path) -> Path:
    """One with the four files, to alter: they are linked, so replace them and never write into them."""
    raw(empty).mkdir(parents=True)
    for file in raw(unpacked).iterdir():
        os.link(file, raw(empty) / file.name)
    return empty


def replace(file: Path, content: bytes) -> None:
    file.unlink()
    file.write_bytes(content)


def test_the_unpacked_files_are_the_originals(unpacked: Path) -> None:
    assert contents(raw(unpacked)) == torchnet.data._FILES
    assert [entry.name for entry in raw(unpacked).parent.parent.iterdir()] == ["MNIST"]


def test_unpacked_files_are_used_as_they_are_and_need_no_archive(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.stat().st_ino for file in raw(cache).iterdir()}
    monkeypatch.setattr(torchnet.data, "ARCHIVE", cache / "nowhere.npz")
    assert read_mnist().test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert {file.name: file.stat().st_ino for file in raw(cache).iterdir()} == before


@pytest.mark.parametrize("change", ["altered", "truncated", "missing"])
def test_a_file_that_is_not_the_original_is_made_anew(unpacked: Path, cache: Path, change: str) -> None:
    file = raw(cache) / TEST_LABELS
    content = bytearray(file.read_bytes())
    content[8] = 3  # a label like any other: only the checksum can tell
    replace(file, bytes(content) if change == "altered" else b"\0")
    if change == "missing":
        file.unlink()
    assert read_mnist().test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert contents(raw(cache)) == contents(raw(unpacked))


def test_what_a_killed_process_leaves_is_not_believed(unpacked: Path, cache: Path) -> None:
    half = raw(cache).parent.parent / "unpacking-abc" / "MNIST" / "raw"
    half.mkdir(parents=True)
    (half / TEST_LABELS).write_bytes(b"\0\0\x08")
    (raw(cache) / TEST_LABELS).unlink()
    assert read_mnist().test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert contents(raw(cache)) == contents(raw(unpacked))


def test_unpacking_goes_on_where_it_was_broken_off(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file = os.replace
    moved: list[Path] = []

    def broken_off(source: Path, target: Path) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        replace_file(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", broken_off)
        with pytest.raises(KeyboardInterrupt):
            read_mnist()
    assert [file.name for file in raw(empty).iterdir()] == ["train-images-idx3-ubyte"]
    assert [entry.name for entry in raw(empty).parent.parent.iterdir()] == ["MNIST"]
    assert read_mnist().test_labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_another_process_may_unpack_while_this_one_does(
    unpacked: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack = torchnet.data._unpack

    def overtaken(datasets: object, root: Path) -> None:
        monkeypatch.setattr(torchnet.data, "_unpack", unpack)
        torchnet.data._read_cache(torchvision.datasets)
        unpack(datasets, root)

    monkeypatch.setattr(torchnet.data, "_unpack", overtaken)
    assert read_mnist().test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert contents(raw(empty)) == contents(raw(unpacked))


def test_a_cache_that_cannot_be_written_is_refused_in_one_line(empty: Path) -> None:
    (empty / "one-network-twice").write_text("a file where the folder should be")
    with pytest.raises(
        DataError, match=r"cannot be written \(.+\); expected a folder .*: set XDG_CACHE_HOME to one"
    ) as line:
        read_mnist()
    assert "\n" not in str(line.value)


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for base in ("", "not/absolute"):  # the rule of the XDG folders: what is not absolute does not count
        monkeypatch.setenv("XDG_CACHE_HOME", base)
        assert torchnet.data._cache().parent == tmp_path / ".cache" / "one-network-twice"
    monkeypatch.setenv("HOME", "nowhere")
    with pytest.raises(DataError, match="expected a home folder: set XDG_CACHE_HOME"):
        torchnet.data._cache()


UNPACK = """
import sys, time
from pathlib import Path
import torchvision.datasets
from torchnet.data import read_mnist

Path(sys.argv[1]).touch()
while not Path(sys.argv[2]).exists():
    time.sleep(0.001)
print(read_mnist().test_labels[:5].tolist())
"""


def test_two_processes_that_unpack_at_once_do_no_harm(unpacked: Path, tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    ready = [tmp_path / "first", tmp_path / "second"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", UNPACK, str(file), str(tmp_path / "go")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for file in ready
    ]
    try:
        while not all(file.exists() for file in ready) and all(process.poll() is None for process in processes):
            time.sleep(0.001)
        (tmp_path / "go").touch()
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert outputs == [("[7, 2, 1, 0, 4]\n", "")] * 2
    assert contents(raw(tmp_path / "cache")) == contents(raw(unpacked))
    assert [entry.name for entry in raw(tmp_path / "cache").parent.parent.iterdir()] == ["MNIST"]


# torchvision: its build, its download

READ = """
from torchnet.data import DataError, read_mnist
try:
    read_mnist()
except DataError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "torchvision does not load (operator torchvision::nms does not exist); expected builds of one kind, found",
        ),
        ("import missing_module", "no module missing_module: MNIST is read by torchvision, install the extra torch"),
    ],
    ids=["another build", "not installed"],
)
def test_a_torchvision_that_does_not_load_is_told_in_one_line(tmp_path: Path, module: str, words: str) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(module)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", READ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.startswith(words)
    assert done.stdout.count("\n") == 1


@pytest.fixture
def mirror(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which torchvision downloads, with the originals packed anew (so the sums of the .gz are others)."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            pass

    folder = tmp_path / "mirror"
    folder.mkdir()
    resources = []
    for file in raw(unpacked).iterdir():
        packed = gzip.compress(file.read_bytes(), compresslevel=0)
        (folder / f"{file.name}.gz").write_bytes(packed)
        resources.append((f"{file.name}.gz", hashlib.md5(packed).hexdigest()))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(MNIST, "resources", resources)
        try:
            yield folder
        finally:
            server.shutdown()


def test_torchvision_downloads_into_the_cache(unpacked: Path, mirror: Path, empty: Path) -> None:
    data = read_mnist(download=True)
    assert contents(raw(empty)) == contents(raw(unpacked))
    assert read_mnist() is data
    for array, expected in zip(data, torchnet.data._read_archive(), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_a_failed_download_is_told_in_one_line(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{nobody_listens.getsockname()[1]}/"])
        with pytest.raises(DataError, match=r"could not download MNIST \(Error downloading .*\): try again") as line:
            read_mnist(download=True)
    assert "\n" not in str(line.value)
    assert not list(raw(empty).iterdir())


def test_a_download_of_something_else_is_refused(mirror: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"something else")
    (mirror / f"{TEST_LABELS}.gz").write_bytes(packed)
    digest = hashlib.md5(packed).hexdigest()
    resources = [(name, digest if TEST_LABELS in name else old) for name, old in MNIST.resources]
    monkeypatch.setattr(MNIST, "resources", resources)
    with pytest.raises(DataError, match=f"{TEST_LABELS}: downloaded, but not the original file with MD5 27ae3e4e"):
        read_mnist(download=True)
    assert not list(raw(empty).iterdir())


def test_a_download_into_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ask for either --data FOLDER or --download"):
        read_mnist(tmp_path, download=True)
