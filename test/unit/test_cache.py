"""The disk cache: keys, writers, damage, the limit, folders that cannot be written; and compiling through it."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from lamina import api
from lamina.diagnostics import LaminaError
from lamina.files import TEMPORARY_PREFIX
from lamina.parser import parse_text
from lamina.targets.cpu import cache
from lamina.targets.cpu.cache import DiskCache, cache_key
from support import abi_models

TEST_FOLDER = Path(__file__).parent.parent


@pytest.fixture
def store(tmp_path):
    return DiskCache(tmp_path / "cache", 10_000)


def test_bytes_round_trip(store):
    assert store.load_bytes("a") is None
    for data in (b"", b"x", bytes(range(256)) * 9):
        store.store_bytes("a", data)
        assert store.load_bytes("a") == data


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "short"])
def test_damaged_entries_are_dropped(store, damage):
    store.store_bytes("a", b"object code" * 10)
    path = store.path("a")
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[50] ^= 4
    path.write_bytes(data[: {"truncate": -1, "flip": None, "empty": 0, "short": 20}[damage]])
    assert store.load_bytes("a") is None
    assert not path.exists()
    store.store_bytes("a", b"again")
    assert store.load_bytes("a") == b"again"


def test_the_least_recently_used_leave_first(store):
    for index, name in enumerate("abcd"):
        store.store_bytes(name, bytes(3000 - cache.DIGEST_BYTES))
        os.utime(store.path(name), (1000 + index,) * 2)
        if name == "c":
            assert store.load_bytes("a") is not None  # used now: `b` is the oldest
    store.trim()
    assert sorted(path.name for path in store.directory.iterdir()) == ["a", "c", "d"]
    store.store_bytes("large", bytes(20_000))
    assert sum(path.stat().st_size for path in store.directory.iterdir()) <= store.limit


def test_what_crashed_writers_left_is_removed(store):
    store.store_bytes("a", b"x")
    old, new = store.path(f"{TEMPORARY_PREFIX}old"), store.path(f"{TEMPORARY_PREFIX}new")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * cache.ABANDONED_SECONDS,) * 2)
    store.trim()
    assert not old.exists()
    assert new.exists()
    assert store.load_bytes("a") == b"x"


def write_many(directory, seed):
    store = DiskCache(directory, 60_000)
    generator = np.random.default_rng(seed)
    for _ in range(200):
        name = f"key{generator.integers(4)}"
        expected = hashlib.sha256(name.encode()).digest() * 500
        found = store.load_bytes(name)
        assert found in (None, expected)
        if generator.integers(3) == 0:
            store.drop(name)
        store.store_bytes(name, expected)


def test_two_processes_write_and_drop_the_same_keys(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(tmp_path, seed)) for seed in range(2)]
    for process in processes:
        process.start()
    write_many(tmp_path, 9)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(TEMPORARY_PREFIX)]


def test_a_folder_that_cannot_be_written_is_one_warning(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    store = DiskCache(blocked / "cache", 10_000)
    with pytest.warns(RuntimeWarning, match="cannot be written .*continuing without it"):
        store.store_bytes("a", b"x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.store_bytes("b", b"x")
        assert store.load_bytes("a") is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_nothing_behind(store, monkeypatch):
    def write(path):
        with open("/dev/full", "wb") as file:
            file.write(bytes(100_000))

    cache._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert not store.store("a", write)
    assert store.find("a") is None


def test_a_readable_folder_that_cannot_be_touched_still_serves(store, monkeypatch):
    store.store_bytes("a", b"x")

    def refuse(path, **times):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(cache.os, "utime", refuse)
    assert store.load_bytes("a") == b"x"
    assert store.load_bytes("b") is None


def test_keys():
    assert cache_key("a", "b") == cache_key("a", "b")
    assert len({cache_key("a", "b"), cache_key("ab"), cache_key("ab", ""), cache_key("b", "a"), cache_key()}) == 5


def test_keys_depend_on_the_compilers_version(monkeypatch):
    before = cache_key("a")
    monkeypatch.setattr(cache, "compiler_version", lambda: "another")
    assert cache_key("a") != before


def test_the_compilers_version_follows_its_sources(monkeypatch, tmp_path):
    source = tmp_path / "module.py"
    source.write_text("x = 1\n")
    monkeypatch.setattr(cache, "SOURCES", tmp_path)
    versions = set()
    for seconds in (1000, 2000):
        os.utime(source, (seconds, seconds))
        versions.add(cache.compiler_version.__wrapped__())
    source.write_text("x = 12\n")
    os.utime(source, (2000, 2000))
    versions.add(cache.compiler_version.__wrapped__())
    assert len(versions) == 3


# Compiling through the cache

SOURCE = """
func.func @main(%x: tensor<?x?xf32> {lamina.name = "x", lamina.dims = ["batch", "columns"]},
                %y: tensor<?x?xf32> {lamina.name = "y", lamina.dims = ["batch", "columns"]}) -> tensor<?x?xf32> {
  func.return %x : tensor<?x?xf32>
}
"""


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """`compile` of a text, with hand-written code for every module; counts how often code was generated."""
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path / "cache"))
    generated = []

    def generate(module, context, level, observer):
        generated.append(level.name)
        artefact = abi_models.scale_add()
        for array in artefact.constants.values():
            context.resources.put(array)
        return artefact

    monkeypatch.setattr(api, "_generate", generate)

    def compile_text(text=SOURCE, *, carried=False, **options):
        context = api.make_context()
        if carried:
            context.resources.put(np.array([2], np.float32))
        return api.compile(parse_text(context, text, "test.mlir"), context=context, **options)

    compile_text.generated = generated
    compile_text.folder = tmp_path / "cache"
    return compile_text


def check(executable):
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(executable(x, x)[0], 3)


def entries(compiled):
    return list(compiled.folder.glob("*.lamina"))


def test_the_second_time_comes_from_the_cache(compiled):
    first, second = compiled(), compiled()
    assert (first.compile_count, second.compile_count) == (1, 0)
    assert compiled.generated == ["hardware"]
    for executable in (first, second):
        check(executable)


def test_what_matters_makes_another_key(compiled, monkeypatch):
    compiled()
    compiled(SOURCE.replace('"batch"', '"rows"'))
    compiled(target={"vector_bits": 128})
    compiled(cache=False)
    monkeypatch.setenv("LAMINA_CACHE_SIZE", "0")
    compiled()
    assert len(compiled.generated) == 5
    assert len(entries(compiled)) == 3


def test_locations_and_threads_do_not_matter(compiled):
    compiled(threads=1)
    moved = compiled("\n\n\n" + SOURCE, threads=2)
    assert moved.compile_count == 0
    assert moved.threads == 2


def test_constants_of_the_model_are_not_stored_again(compiled):
    compiled(carried=True)
    (entry,) = entries(compiled)
    size = entry.stat().st_size
    check(compiled(carried=True))
    assert len(compiled.generated) == 1
    entry.unlink()
    compiled()
    assert entries(compiled)[0].stat().st_size > size


def test_an_entry_that_lacks_a_constant_is_compiled_again(compiled):
    compiled(carried=True)
    check(compiled())
    check(compiled())
    assert len(compiled.generated) == 2


def test_a_folder_that_can_only_be_read_serves_without_a_warning(compiled, monkeypatch):
    """After a start of the machine nobody has noted yet that the entry was whole."""
    compiled()
    for note in compiled.folder.glob("*.checked"):
        note.unlink()

    def refuse(path):
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(cache, "replacing", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        executable = compiled()
    assert executable.compile_count == 0
    check(executable)
    assert not list(compiled.folder.glob("*.checked"))


@pytest.mark.parametrize("position", [4, 100, -100, -5, None])
def test_a_damaged_entry_is_compiled_again(compiled, position):
    compiled()
    (entry,) = entries(compiled)
    data = bytearray(entry.read_bytes())
    if position is None:
        del data[len(data) // 2 :]
    else:
        data[position] ^= 0x10
    entry.write_bytes(data)
    check(compiled())
    assert len(compiled.generated) == 2
    check(compiled())
    assert len(compiled.generated) == 2


def test_compiling_leaves_the_callers_module_alone(compiled):
    context = api.make_context()
    module = parse_text(context, SOURCE, "test.mlir")
    before = str(module)
    api.compile(module, context=context)
    assert str(module) == before


def test_unknown_target_fields(compiled):
    with pytest.raises(LaminaError, match="unknown field 'size'"):
        compiled(target={"size": 3})


def test_a_cache_that_cannot_be_written_still_gives_results(tmp_path):
    """In a fresh process, with a file in the place of the cache's folder: one warning, right numbers."""
    (tmp_path / "file").write_text("")
    code = """
        import warnings, numpy as np
        from support import abi_models
        from lamina.targets.cpu.executable import Executable
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            executable = Executable(abi_models.scale_add(), threads=2)
        x = np.ones((8, 4), np.float32)
        assert (executable(x, x)[0] == 3).all()
        print(len([one for one in caught if "cannot be written" in str(one.message)]))
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(TEST_FOLDER),
        "LAMINA_CACHE_DIR": str(tmp_path / "file" / "cache"),
        "LAMINA_SPIN_MICROSECONDS": "0",
    }
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout) == (0, "1\n"), result.stderr
