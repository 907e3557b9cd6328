"""Shapes that exporters compute of symbolic sizes: decided comparisons, divisions by sizes, sizes fixed on import."""

from __future__ import annotations

import subprocess

import numpy as np
import onnx
import pytest

import lamina
from lamina.diagnostics import LaminaError
from onnx_testing import parse, runtime
from support.warm_commands import shared_commands

# torch.Tensor.expand(-1, -1, n) as the exporter writes it: 1 in place of every -1, then the dims behind flattened.
EXPANSION = """main (float[batch, 4, 1] x, float[length] z) => (float[rows, columns] y)
<int64[2] keep = {-1, -1}, int64[1] none = {-1}, int64[3] ones = {1, 1, 1}, int64[3] minus = {-1, -1, -1}> {
    n = Shape(z)
    wanted = Concat<axis = 0>(keep, n)
    flat = Reshape(wanted, none)
    is_kept = Equal(flat, minus)
    shape = Where(is_kept, ones, flat)
    e = Expand(x, shape)
    f = Flatten<axis = 2>(e)
    y = Exp(f)
}"""

# The elements of `x` in as many rows as `z` has elements.
DIVISION = """main (float[batch, features] x, float[rows] z) => (float[n] y)
<float[1] one = {1.0}> {
    n = Shape(z)
    count = Size(x)
    columns = Div(count, n)
    y = Expand(one, columns)
}"""

REST = """main (float[batch, features] x, float[rows] z) => (float[n, m] y)
<int64[1] rest = {-1}> {
    n = Shape(z)
    shape = Concat<axis = 0>(n, rest)
    r = Reshape(x, shape)
    y = Exp(r)
}"""


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def check(model: onnx.ModelProto, *inputs: np.ndarray, executable) -> None:
    for got, expected in zip(executable(*inputs), runtime(model, *inputs), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_expansions_that_keep_sizes():
    model = parse(EXPANSION)
    executable = lamina.compile(model, cache=False)
    assert executable.outputs[0].shape == ("4*batch", "length")
    for batch, length in ((2, 3), (1, 1), (3, 17), (2, 0), (0, 5)):
        check(model, normal(batch, 4, 1), normal(length), executable=executable)


@pytest.mark.parametrize("text", [DIVISION, REST], ids=["Div", "Reshape"])
def test_quotients_of_sizes(text: str):
    model = parse(text)
    executable = lamina.compile(model, cache=False)
    for batch, features, rows in ((2, 6, 3), (4, 5, 10), (0, 6, 2), (1, 1, 1)):
        check(model, normal(batch, features), normal(rows), executable=executable)


@pytest.mark.parametrize("text", [DIVISION, REST], ids=["Div", "Reshape"])
def test_quotients_by_an_empty_axis_do_not_stop_the_process(text: str):
    executable = lamina.compile(parse(text), cache=False)
    (y,) = executable(normal(0, 6), normal(0))
    assert y.size == 0
    if text is REST:
        with pytest.raises(LaminaError, match="expected equal sizes"):
            executable(normal(2, 6), normal(0))


def test_fixed_sizes_broadcast(tmp_path):
    model = parse("main (float[batch, n] x, float[2, 4] y) => (float[a, b] z) { z = Add(x, y) }")
    generic = lamina.compile(model, cache=False)
    with pytest.raises(LaminaError, match="expected equal sizes") as caught:
        generic(normal(1, 4), normal(2, 4))
    assert "dims=" in caught.value.hints[0]
    fixed = lamina.compile(model, dims={"batch": 1}, cache=False)
    assert fixed.inputs[0].shape == (1, "n")
    check(model, normal(1, 4), normal(2, 4), executable=fixed)
    with pytest.raises(LaminaError, match="no input has a size called 'bach'"):
        lamina.compile(model, dims={"bach": 1}, cache=False)
    fixed.save(tmp_path / "m.lamina")
    with pytest.raises(LaminaError, match="ONNX models only"):
        lamina.compile(tmp_path / "m.lamina", dims={"batch": 1})


def test_fixed_sizes_have_entries_of_their_own(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path / "cache"))
    onnx.save(parse("main (float[batch, 4] x) => (float[batch, 4] y) { y = Exp(x) }"), tmp_path / "m.onnx")
    shapes = [
        lamina.compile(tmp_path / "m.onnx", dims=dims).inputs[0].shape
        for dims in (None, {"batch": 2}, {"batch": 3}, None, {"batch": 2})
    ]
    assert shapes == [("batch", 4), (2, 4), (3, 4), ("batch", 4), (2, 4)]


def test_sizes_are_fixed_on_the_command_line(tmp_path):
    onnx.save(parse("main (float[batch, 4] x) => (float[batch, 4] y) { y = Exp(x) }"), tmp_path / "m.onnx")
    command = [shared_commands() / "lamina", "compile", "m.onnx", "--fix", "batch=3", "--to", "graph", "-o", "-"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "tensor<3x4xf32>" in shown.stdout and "tensor<?" not in shown.stdout
