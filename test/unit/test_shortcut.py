"""From an ONNX file to its cache entry without reading it: taken when nothing changed, never otherwise."""

import os
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import lamina
from lamina.diagnostics import LaminaError
from lamina.targets.cpu import entries, shortcut

OLD = time.time() - 100


def model(weights, external=None):
    """x [n, 80] @ weights + 1."""
    tensor = numpy_helper.from_array(weights, "w")
    one = numpy_helper.from_array(np.ones(weights.shape[1], np.float32), "b")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", weights.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", weights.shape[1]])],
        [tensor, one],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def weights_of(seed):
    return np.random.default_rng(seed).standard_normal((80, 24), dtype=np.float32)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "model.onnx"
    save(path, 0)
    return path


def save(path, seed, when=OLD, **options):
    onnx.save(model(weights_of(seed)), path, **options)
    os.utime(path, (when, when))


def check(executable, seed):
    x = np.random.default_rng(9).standard_normal((3, 80), dtype=np.float32)
    expected = x.astype(np.float64) @ weights_of(seed) + 1
    np.testing.assert_allclose(executable(x)[0], expected, rtol=0, atol=1e-4)


@pytest.fixture
def reads(monkeypatch):
    """The models that were read."""
    from lamina.frontends import onnx as frontend

    seen = []
    original = frontend.import_model

    def spy(source, *arguments, **options):
        seen.append(source)
        return original(source, *arguments, **options)

    monkeypatch.setattr(frontend, "import_model", spy)
    return seen


def test_the_second_time_the_model_is_not_read(path, reads):
    first, second = lamina.compile(path), lamina.compile(path, threads=2)
    assert (first.compile_count, second.compile_count, len(reads)) == (1, 0, 1)
    check(first, 0)
    check(second, 0)
    assert [str(info) for info in first.inputs] == [str(info) for info in second.inputs]


@pytest.mark.parametrize("when", [OLD + 1, OLD], ids=["newer", "as-old"])
def test_another_content_is_read(path, reads, when):
    lamina.compile(path)
    path.unlink()
    other = path.with_name("other.onnx")
    save(other, 1, when)
    other.rename(path)
    check(lamina.compile(path), 1)
    assert len(reads) == 2


def test_a_file_that_is_seconds_old_is_read_every_time(path, reads):
    save(path, 2, time.time())
    check(lamina.compile(path), 2)
    check(lamina.compile(path), 2)
    assert len(reads) == 2


def test_options_are_part_of_the_key(path, reads):
    lamina.compile(path)
    lamina.compile(path, target={"vector_bits": 128})
    lamina.compile(path, cache=False)
    assert len(reads) == 3
    lamina.compile(path, target={"vector_bits": 128})
    assert len(reads) == 3
    with pytest.raises(LaminaError, match="no input"):
        lamina.compile(path, donate={"nothing": "y"})


def test_external_data_is_looked_at_every_time(path, reads):
    save(path, 3, save_as_external_data=True, location="model.data", size_threshold=0)
    check(lamina.compile(path), 3)
    save(path, 4, save_as_external_data=True, location="model.data", size_threshold=0)
    check(lamina.compile(path), 4)
    assert len(reads) == 2


def damaged_constants(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x10
    path.write_bytes(data)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [damaged_constants, cut_short, os.unlink])
@pytest.mark.parametrize("suffix", ["lamina", "shortcut"])
def test_damage_costs_time_only(path, reads, damage, suffix):
    lamina.compile(path)
    for entry in (path.parent / "cache").glob(f"*.{suffix}"):
        damage(entry)
    check(lamina.compile(path), 0)
    assert len(reads) == 2
    check(lamina.compile(path), 0)
    assert len(reads) == 2


def test_a_model_that_fills_the_cache_gets_no_whole_entry(path, reads, monkeypatch):
    monkeypatch.setattr(shortcut, "WHOLE_SHARE", 2**40)
    lamina.compile(path)
    second = lamina.compile(path)
    assert (second.compile_count, len(reads)) == (0, 2)
    check(second, 0)


@pytest.fixture
def hashed(monkeypatch):
    """One entry per array that was hashed while an artefact was loaded."""
    from lamina import artefact

    counted = []
    original = artefact.content_key
    monkeypatch.setattr(artefact, "content_key", lambda array: counted.append(1) or original(array))
    return counted


def test_what_this_machine_wrote_is_not_hashed_and_use_does_not_age_it(path, hashed):
    lamina.compile(path)
    (entry,) = (path.parent / "cache").glob("*.lamina")
    written = entry.stat().st_mtime_ns
    os.utime(entry, ns=(int(OLD) * 10**9, written))
    check(lamina.compile(path), 0)
    assert not hashed
    assert entry.stat().st_mtime_ns == written and entry.stat().st_atime > OLD + 1


def test_entries_are_hashed_once_after_a_start_of_the_machine(path, hashed, monkeypatch):
    lamina.compile(path)
    monkeypatch.setattr(entries, "_start_of_the_machine", lambda: "another")
    check(lamina.compile(path), 0)
    once = len(hashed)
    assert once
    check(lamina.compile(path), 0)
    assert len(hashed) == once


def test_entries_are_hashed_when_the_file_is_another_version(path, hashed):
    lamina.compile(path)
    (entry,) = (path.parent / "cache").glob("*.lamina")
    os.utime(entry, (OLD, OLD))
    check(lamina.compile(path), 0)
    assert hashed


def test_entries_are_hashed_every_time_where_the_start_of_the_machine_is_not_known(path, hashed, monkeypatch):
    monkeypatch.setattr(entries, "_start_of_the_machine", lambda: None)
    counts = []
    for _ in range(3):
        lamina.compile(path)
        counts.append(len(hashed))
    assert counts[0] == 0 < counts[1] < counts[2]


def test_damage_is_found_after_a_start_of_the_machine(path, reads, monkeypatch):
    """A crash that leaves another content under the same name, size and time of modification."""
    lamina.compile(path)
    (entry,) = (path.parent / "cache").glob("*.lamina")
    status = entry.stat()
    with entry.open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"zzzz")
    os.utime(entry, ns=(status.st_atime_ns, status.st_mtime_ns))
    monkeypatch.setattr(entries, "_start_of_the_machine", lambda: "another")
    check(lamina.compile(path), 0)
    assert len(reads) == 2


def test_neither_onnx_nor_xdsl_is_imported(path):
    lamina.compile(path)
    code = f"import sys, lamina; lamina.compile({str(path)!r}); print({{'onnx', 'xdsl'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
