"""The steps of `lamina.api`: reading and writing modules, their interface, levels, artefacts as models."""

import json

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import lamina
from lamina import api, safetensors
from lamina.diagnostics import LaminaError
from lamina.interface import signature
from lamina.parser import parse_text
from lamina.targets.cpu.executable import Executable
from support import abi_models

SOURCE = """
func.func @main(%x: tensor<?x3xf32> {lamina.name = "x", lamina.dims = ["batch", "3"]}, %cache: tensor<4xi64>)
    -> (tensor<?x3xf32> {lamina.name = "sum", lamina.dims = ["batch", "3"]},
        tensor<4xi64> {lamina.alias = 1 : i64}) {
  %sum = graph.add %x, %x : tensor<?x3xf32>
  func.return %sum, %cache : tensor<?x3xf32>, tensor<4xi64>
}
"""


def parse(text):
    context = api.make_context()
    return parse_text(context, text, "test.mlir"), context


def test_signature():
    inputs, outputs = signature(parse(SOURCE)[0])
    assert [str(info) for info in inputs] == ["x: float32[batch, 3]", "input1: int64[4]"]
    assert [str(info) for info in outputs] == ["sum: float32[batch, 3]", "output1: int64[4]"]
    assert [info.alias for info in outputs] == [None, 1]


def test_unnamed_sizes_are_independent():
    text = "func.func @main(%x: tensor<?x?xf32>, %y: tensor<?xi1>) { func.return }"
    inputs, _ = signature(parse(text)[0])
    names = [name for info in inputs for name in info.shape]
    assert len(set(names)) == 3
    assert all(name.isidentifier() for name in names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func.func @other() { func.return }", "no function @main"),
        ("func.func @main(%x: f32) { func.return }", "input 0 of @main is f32: expected a tensor"),
        ("func.func @main(%x: tensor<*xf32>) { func.return }", "expected a tensor of static rank"),
        ("func.func @main(%x: tensor<2xi3>) { func.return }", "i3"),
        (
            "func.func @main(%x: tensor<2xf32>) -> (tensor<2xf32> {lamina.alias = 1 : i64}) {"
            " func.return %x : tensor<2xf32> }",
            "output 'output0' aliases input 1, of 1 inputs",
        ),
        (
            "func.func @main(%x: tensor<2xf32>) -> (tensor<2xf32> {lamina.alias = 0 : i64},"
            " tensor<2xf32> {lamina.alias = 0 : i64}) { func.return %x, %x : tensor<2xf32>, tensor<2xf32> }",
            "two outputs alias input 'input0'",
        ),
    ],
)
def test_modules_that_cannot_be_called(text, message):
    with pytest.raises(LaminaError, match=message):
        signature(parse(text)[0])


def test_text_and_constants_are_written_and_read_back(tmp_path):
    module, context = parse(SOURCE)
    values = np.arange(100, dtype=np.float32)
    key = context.resources.put(values)
    context.resources.put(np.ones(200))
    text = (
        "func.func @main() -> tensor<100xf32> {"
        f" %c = graph.constant dense_resource<{key}> : tensor<100xf32> func.return %c : tensor<100xf32> }}"
    )
    module = parse_text(context, text, "test.mlir")
    path = tmp_path / "model.mlir"
    api.write_text(module, path, context)
    assert list(safetensors.read(tmp_path / "model.safetensors").tensors) == [key]
    other = api.make_context()
    again = api.load_module(path, other)
    assert again.is_structurally_equivalent(module)
    np.testing.assert_array_equal(other.resources.get(key), values)
    assert api.module_text(again) == api.module_text(module)
    locations = [[str(op.location) for op in one.walk()][1:] for one in (module, again)]
    assert locations[0] == locations[1]


def test_writing_where_one_cannot(tmp_path):
    module, context = parse(SOURCE)
    with pytest.raises(LaminaError, match="cannot be written"):
        api.write_text(module, tmp_path / "absent" / "model.mlir", context)


def test_the_graph_level_runs_in_numpy(tmp_path):
    path = tmp_path / "model.mlir"
    path.write_text(SOURCE)
    executable = lamina.executable_for(path, level="graph")
    x, cache = np.ones((2, 3), np.float32), np.arange(4)
    total, same = executable(x, cache)
    np.testing.assert_array_equal(total, x + x)
    np.testing.assert_array_equal(same, cache)
    np.testing.assert_array_equal(executable(x=x, input1=cache)[0], x + x)
    with pytest.raises(LaminaError, match="'x': expected float32"):
        executable(x.astype(np.float64), cache)


def test_unknown_levels(tmp_path):
    path = tmp_path / "model.mlir"
    path.write_text(SOURCE)
    with pytest.raises(LaminaError, match="unknown level 'quantum'"):
        lamina.executable_for(path, level="quantum")


def test_artefacts_are_models(tmp_path):
    path = tmp_path / "model.lamina"
    Executable(abi_models.scale_add(), compile_count=1).save(path)
    x = np.ones((2, 3), np.float32)
    for executable in (lamina.load(path), lamina.compile(path, threads=2), lamina.executable_for(path, threads=1)):
        assert executable.compile_count == 0
        np.testing.assert_array_equal(executable(x, x)[0], 3)
    with pytest.raises(LaminaError, match="compiled already"):
        lamina.executable_for(path, level="graph")


@pytest.mark.parametrize("suffix", [".lamina", ".mlir", ".onnx"])
def test_files_that_are_not_there(tmp_path, suffix):
    with pytest.raises(LaminaError):
        lamina.compile(tmp_path / f"absent{suffix}")


def test_what_trace_gives_is_compiled_from_a_copy(monkeypatch):
    module, context = parse(SOURCE)

    class Traced:
        pass

    traced = Traced()
    traced.module, traced.context = module, context
    seen = []

    def generate(module, context, level, observer):
        seen.append((module, context))
        return abi_models.increment()

    monkeypatch.setattr(api, "_generate", generate)
    lamina.compile(traced, cache=False)
    ((compiled, compiled_context),) = seen
    assert compiled is not module
    assert compiled_context is context
    assert isinstance(compiled, ModuleOp)
    assert "lamina.target" in compiled.attributes
    assert "lamina.target" not in module.attributes


def test_the_manifest_is_readable(tmp_path):
    path = tmp_path / "model.lamina"
    Executable(abi_models.increment()).save(path)
    manifest = json.loads(safetensors.read(path).metadata["lamina"])
    assert manifest["outputs"] == [{"name": "updated", "shape": [4], "dtype": "int64", "alias": 0}]
    assert manifest["abi"] == 1
