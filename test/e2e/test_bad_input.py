"""What a user can get wrong, through the command lines: a clear error, exit code 1, quick, little memory, nothing written."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support import models
from support.warm_commands import shared_commands

MEMORY_BYTES = 6 * 2**30
"""Address space that a command may take; numpy and LLVM map a good part of it without using it."""


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    tool = shared_commands() / command[0]
    return subprocess.run(
        [str(tool), *command[1:]], cwd=folder, capture_output=True, text=True, timeout=30, preexec_fn=limit
    )


def refused(*command: str, folder: Path, says: str) -> str:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result = run(*command, folder=folder)
    assert result.returncode == 1, (result.returncode, result.stdout, result.stderr)
    assert "error:" in result.stderr and "Traceback" not in result.stderr, result.stderr
    assert says in result.stderr, result.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before, "something was written"
    return result.stderr


def small_model(**changes) -> onnx.ModelProto:
    weights = {"w": np.ones((8, 4), np.float32)}
    nodes = changes.get("nodes") or [helper.make_node("MatMul", ["x", "w"], ["y"], "dense")]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, changes.get("shape", [2, 8]))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", changes.get("opset", 17))], ir_version=8)


def truncated(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(models.lenet().SerializeToString()[:-100])


def random_bytes(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(np.random.default_rng(0).bytes(4096))


def empty(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(b"")


def external(location: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        model = small_model()
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location)
        (folder / "m.onnx").write_bytes(model.SerializeToString())

    return make


def cycle(folder: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"], "first"), helper.make_node("Relu", ["a"], ["b"], "second"),
             helper.make_node("Relu", ["b"], ["y"], "third")]  # fmt: skip
    (folder / "m.onnx").write_bytes(small_model(nodes=nodes).SerializeToString())


def duplicate_names(folder: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], "first"), helper.make_node("Abs", ["x"], ["y"], "second")]
    (folder / "m.onnx").write_bytes(small_model(nodes=nodes).SerializeToString())


def undefined_input(folder: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "nowhere"], ["y"], "sum")]
    (folder / "m.onnx").write_bytes(small_model(nodes=nodes).SerializeToString())


def huge_dim(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(small_model(shape=[10**12, 8]).SerializeToString())


def old_opset(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(small_model(opset=6).SerializeToString())


def many_unsupported(folder: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["a"], "/encoder/nonzero"),
        helper.make_node("NonZero", ["x"], ["b"], "/decoder/nonzero"),
        helper.make_node("Frobnicate", ["x"], ["y"], "/head/frobnicate", domain="com.acme"),
    ]
    model = small_model(nodes=nodes)
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    (folder / "m.onnx").write_bytes(model.SerializeToString())


@pytest.mark.parametrize("command", ["check", "run", "compile", "lamina-opt"])
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (truncated, "m.onnx"),
        (random_bytes, "m.onnx"),
        (empty, "m.onnx"),
        (external("missing.bin"), "missing.bin"),
        (external("../outside.bin"), "outside"),
        (external("/etc/passwd"), "/etc/passwd"),
        (cycle, "cycle"),
        (duplicate_names, "'y'"),
        (undefined_input, "nowhere"),
        (huge_dim, "1000000000000"),
        (old_opset, "operator set 6"),
        (many_unsupported, "Frobnicate"),
    ],
    ids=lambda value: getattr(value, "__name__", value) if callable(value) else value,
)
def test_bad_models(make: Callable[[Path], None], says: str, command: str, tmp_path: Path):
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(128))
    make(folder)
    arguments = {
        "check": ("lamina", "check", "m.onnx"),
        "run": ("lamina", "run", "m.onnx"),
        "compile": ("lamina", "compile", "m.onnx", "-o", "out.lamina"),
        "lamina-opt": ("lamina-opt", "m.onnx", "-o", "out.mlir"),
    }[command]
    message = refused(*arguments, folder=folder, says=says)
    if make is many_unsupported:
        assert "NonZero" in message and "×2" in message and "/decoder/nonzero" in message


def test_zero_sized_dims_are_fine(tmp_path: Path):
    (tmp_path / "m.onnx").write_bytes(small_model(shape=[0, 8]).SerializeToString())
    result = run("lamina", "run", "m.onnx", folder=tmp_path)
    assert result.returncode == 0 and "0x4 float32" in result.stdout, result.stderr


TEXTS = {
    "unknown op": ("func.func @main() {\n  graph.frobnicate\n  func.return\n}", "m.mlir:2:3"),
    "unknown dialect": ('func.func @main() {\n  "nope.op"() : () -> ()\n  func.return\n}', "nope.op"),
    "undefined value": (
        "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
        "  %y = graph.add %x, %z : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>\n  func.return %y : tensor<4xf32>\n}",
        "m.mlir:2:22",
    ),
    "wrong type": (
        "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
        "  %y = graph.add %x, %x : tensor<4xf32>, tensor<4xf32> -> tensor<5xf32>\n  func.return %y : tensor<5xf32>\n}",
        "expected",
    ),
    "mismatched shapes": (
        "func.func @main(%x: tensor<4xf32>, %y: tensor<5xf32>) -> tensor<4xf32> {\n"
        "  %z = graph.add %x, %y : tensor<4xf32>, tensor<5xf32> -> tensor<4xf32>\n  func.return %z : tensor<4xf32>\n}",
        "4",
    ),
    "syntax": ("func.func @main(", "m.mlir:1"),
    "empty": ("", "m.mlir"),
    "huge constant": (
        "func.func @main() -> tensor<1000000000000xf32> {\n"
        "  %c = graph.constant dense<0.0> : tensor<1000000000000xf32>\n  func.return %c : tensor<1000000000000xf32>\n}",
        "1000000000000",
    ),
    "deep regions": (
        "func.func @main(%c: i1) {\n" + "scf.if %c {\n" * 1500 + "}\n" * 1500 + "func.return\n}",
        "nested too deeply",
    ),
    "deep attributes": ("module attributes {a = " + "[" * 5000 + "]" * 5000 + "} {}", "nested too deeply"),
}


@pytest.mark.parametrize("command", ["lamina-opt", "compile"])
@pytest.mark.parametrize("name", TEXTS)
def test_bad_text(name: str, command: str, tmp_path: Path):
    text, says = TEXTS[name]
    (tmp_path / "m.mlir").write_text(text)
    if command == "lamina-opt":
        refused("lamina-opt", "m.mlir", "-o", "out.mlir", folder=tmp_path, says=says)
    else:
        refused("lamina", "compile", "m.mlir", "-o", "out.lamina", folder=tmp_path, says=says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("lamina-opt", "m.mlir", "-p", "canonicalise"), "canonicalize"),
        (("lamina-opt", "m.mlir", "-p", "decompose{kep=1}"), "keep"),
        (("lamina-opt", "m.mlir", "--print-pipelin3"), "--print-pipeline"),
        (("lamina-opt", "m.mlir", "--to", "kernel"), "kernels"),
        (("lamina-opt", "m.xyz"), "m.xyz"),
        (("lamina-opt", "missing.mlir"), "missing.mlir"),
        (("lamina", "run", "missing.onnx"), "missing.onnx"),
        (("lamina", "frobnicate"), "frobnicate"),
        (("lamina", "run", "m.mlir", "--threads", "0"), "threads"),
        (("lamina", "run", "m.mlir", "--dim", "batch"), "NAME=SIZE"),
        (("lamina", "run", "m.mlir", "--dim", "N=1", "--dim", "N=2"), "'N' has a size already"),
        (("lamina", "run", "m.mlir", "--fix", "N=1", "--fix", "N=2"), "'N' has a size already"),
        (("lamina", "run", "m.mlir", "--inputs", "m.mlir"), ".npy"),
        (("lamina", "run", "m.mlir", "--at", "bottom"), "hardware"),
        (("lamina", "compile", "m.mlir"), "-o"),
        (("lamina", "compile", "m.mlir", "-o", "-"), "not compiled code"),
        (("lamina", "compile", "m.mlir", "--target", "ptx:sm_90", "--to", "graph", "-o", "-"), "not compiled code"),
        (("lamina", "compile", "m.mlir", "-o", "no/such/folder/out.lamina"), "no/such/folder"),
        (("lamina", "run", "m.lamina"), "m.lamina"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], says: str, tmp_path: Path):
    (tmp_path / "m.mlir").write_text(
        "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
        "  %y = graph.abs %x : tensor<4xf32>\n  func.return %y : tensor<4xf32>\n}"
    )
    (tmp_path / "m.lamina").write_bytes(b"not an artefact at all")
    refused(*arguments, folder=tmp_path, says=says)


def test_text_to_standard_output(tmp_path: Path):
    onnx.save(small_model(), tmp_path / "m.onnx")
    arguments = ("lamina", "compile", "m.onnx", "--to", "kernels", "-o")
    shown = run(*arguments, "-", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert run(*arguments, "m.mlir", folder=tmp_path).returncode == 0
    assert shown.stdout == (tmp_path / "m.mlir").read_text()
    # Processes of their own, with other orders of sets.
    for seed in ("1", "2"):
        installed = Path(sys.executable).parent / arguments[0]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        again = subprocess.run(
            [installed, *arguments[1:], "-"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert again.stdout == shown.stdout


ARRAYS = {"x": np.ones((2, 3), np.float32), "y": np.arange(3, dtype=np.float32)}
INPUT_FILES: dict[str, Callable[[Path], None]] = {
    "x.npy": lambda path: np.save(path, ARRAYS["x"]),
    "y.npy": lambda path: np.save(path, ARRAYS["y"]),
    "both.npz": lambda path: np.savez(path, **ARRAYS),
    "other.npz": lambda path: np.savez(path, x=ARRAYS["x"], z=ARRAYS["y"]),
    "objects.npy": lambda path: np.save(path, np.array([{}], dtype=object)),
    "beside.npz": lambda path: write_archive(
        path, {"x": b"no array", "x.npy": array_bytes(ARRAYS["x"]), "y.npy": array_bytes(ARRAYS["y"])}
    ),
    "text.npz": lambda path: write_archive(path, {"x": b"no array"}),
    "huge.npy": lambda path: path.write_bytes(header((2**62, 2**62))),
    "large.npy": lambda path: path.write_bytes(header((2**45,))),
    "large.npz": lambda path: write_archive(path, {"x.npy": header((2**45,))}),
    "token.npz": lambda path: write_archive(path, {"x.npy": header((3,)).replace(b"(3,)", b"(3,(")}),
    "deflated.npz": lambda path: damage(path, 40, bytes(30)),
    "method.npz": lambda path: damage(path, -1, b"\x63"),
    "cut.npz": lambda path: path.write_bytes(b"PK\3\4 and no more"),
}


def header(shape: tuple[int, ...]) -> bytes:
    """The beginning of a .npy file of f32."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def array_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)


def damage(path: Path, start: int, contents: bytes) -> None:
    """A compressed .npz with other bytes from `start`; -1: where its directory names the method of compression."""
    np.savez_compressed(path, x=np.arange(100, dtype=np.float32))
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\1\2") + 10 if start < 0 else start
    data[start : start + len(contents)] = contents
    path.write_bytes(data)


def input_files(folder: Path) -> None:
    (folder / "m.mlir").write_text(
        'func.func @main(%x: tensor<2x3xf32> {lamina.name = "x"}, %y: tensor<3xf32> {lamina.name = "y"}) '
        '-> (tensor<2x3xf32> {lamina.name = "z"}) {\n'
        "  %z = graph.subtract %x, %y : tensor<2x3xf32>, tensor<3xf32> -> tensor<2x3xf32>\n"
        "  func.return %z : tensor<2x3xf32>\n}"
    )
    for name, write in INPUT_FILES.items():
        write(folder / name)


@pytest.mark.parametrize(
    "files",
    [("x.npy", "y.npy"), ("y=y.npy", "x.npy"), ("y=y.npy", "x=x.npy"), ("both.npz",), ("beside.npz",)],
    ids=" ".join,
)
def test_inputs_by_position_and_by_name(files: tuple[str, ...], tmp_path: Path):
    input_files(tmp_path)
    result = run("lamina", "run", "m.mlir", "--at", "graph", "--save", ".", "--inputs", *files, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), ARRAYS["x"] - ARRAYS["y"])


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (("x.npy",), "no array for the input 'y'"),
        (("x.npy", "y.npy", "y.npy"), "more arrays than inputs"),
        (("x=x.npy", "both.npz"), "'x' is given twice"),
        (("other.npz",), "no input 'z'"),
        (("missing.npy", "y.npy"), "missing.npy: error: cannot be read: No such file"),
        (("objects.npy", "y.npy"), "objects.npy: error: cannot be read as .npy"),
        (("cut.npz",), "cut.npz: error: cannot be read as .npz"),
        (("text.npz",), "text.npz: error: 'x' is no array"),
        (("huge.npy", "y.npy"), "huge.npy: error: cannot be read as .npy"),
        (("large.npy", "y.npy"), "large.npy: error: cannot be read as .npy"),
        (("large.npz",), "large.npz: error: the array 'x.npy' cannot be read"),
        (("token.npz",), "token.npz: error: the array"),
        (("deflated.npz",), "deflated.npz: error: the array"),
        (("method.npz",), "method.npz: error: the array"),
        (("m.mlir", "y.npy"), "m.mlir: error: cannot be read as .npy"),
    ],
)
def test_bad_input_files(files: tuple[str, ...], says: str, tmp_path: Path):
    input_files(tmp_path)
    refused("lamina", "run", "m.mlir", "--at", "graph", "--inputs", *files, folder=tmp_path, says=says)


def test_warnings_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    input_files(tmp_path)
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path / "x.npy"))  # a file, in which nothing can be stored
    result = run("lamina", "run", "m.mlir", "--inputs", "both.npz", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("warning: the cache in ") and result.stderr.count("\n") == 1, result.stderr
