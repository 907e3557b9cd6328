"""Entry functions on buffers: outputs, donated inputs, control flow, constants, the arena and its plan."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from xdsl.dialects.builtin import UnknownLoc

from lamina.diagnostics import LaminaError
from lamina.parser import parse_text
from lamina.passes.loop.bufferize import BufferizePass
from lamina.passes.loop.plan_arena import PlanArenaPass
from lamina.passes.loop.tile import TilePass
from lamina.passes.loop.vectorize import VectorizePass
from loop_testing import FULL, NAIVE, Native, lowered, needs_mlir, new_context, parse

IDENTITY = "affine_map<(i) -> (i)>"


def elementwise(name: str, body: str, inputs: int, size: str = "?") -> str:
    """A kernel on 1-D tensors; `body` computes %y from %a, %b."""
    type_ = f"tensor<{size}xf32>"
    names = "ab"[:inputs]
    maps = ", ".join([IDENTITY] * (inputs + 1))
    return f"""
func.func private @{name}({", ".join(f"%{n}: {type_}" for n in names)}, %d: {type_}) -> {type_} attributes {{lamina.kernel}} {{
  %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel"]}}
    ins({", ".join("%" + n for n in names)} : {", ".join([type_] * inputs)}) outs(%d : {type_}) {{
  ^bb0({", ".join(f"%{n}1: f32" for n in names)}, %o: f32):
    {body}
    linalg.yield %y : f32
  }} -> {type_}
  func.return %r : {type_}
}}
"""


ADD = elementwise("add", "%y = arith.addf %a1, %b1 : f32", 2)
DOUBLE = elementwise("double", "%y = arith.addf %a1, %a1 : f32", 1)
SHIFT = """
func.func private @shift(%a: tensor<?xf32>, %d: tensor<?xf32>) -> tensor<?xf32> attributes {lamina.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %a, %c0 : tensor<?xf32>
  %last = arith.subi %n, %c1 : index
  %r = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]} outs(%d : tensor<?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 0 : index
    %j = arith.subi %last, %i : index
    %y = tensor.extract %a[%j] : tensor<?xf32>
    linalg.yield %y : f32
  } -> tensor<?xf32>
  func.return %r : tensor<?xf32>
}
"""
SIZES = """
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?xf32>
"""


def call(result: str, kernel: str, *operands: str) -> str:
    """A call with a destination of its own."""
    types = ", ".join(["tensor<?xf32>"] * (len(operands) + 1))
    return (
        f"  %e_{result} = tensor.empty(%n) : tensor<?xf32>\n"
        f"  %{result} = func.call @{kernel}({', '.join(operands)}, %e_{result}) : ({types}) -> tensor<?xf32>\n"
    )


def random(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def run(text: str, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[int]:
    sizes = [size for array in inputs for size in array.shape]
    return Native(lowered(text, NAIVE))(inputs, outputs, sizes)


@needs_mlir
@pytest.mark.parametrize("size", [0, 1, 33])
def test_a_result_is_computed_in_the_output(size: int) -> None:
    text = DOUBLE + "func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {" + SIZES + call("y", "double", "%x")
    x, y = random(size), np.zeros(size, np.float32)
    plan = run(text + "  func.return %y : tensor<?xf32>\n}", [x], [y])
    np.testing.assert_array_equal(y, x + x)
    assert plan == [0, size], "no arena, and the output's size"


@needs_mlir
def test_the_same_value_twice_and_an_argument_are_copied() -> None:
    text = DOUBLE + "func.func @main(%x: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {" + SIZES
    text += call("y", "double", "%x") + "  func.return %y, %x, %y : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>\n}"
    x = random(9)
    outputs = [np.zeros(9, np.float32) for _ in range(3)]
    assert run(text, [x], outputs) == [0, 9, 9, 9]
    for output, expected in zip(outputs, (x + x, x, x + x), strict=True):
        np.testing.assert_array_equal(output, expected)


@needs_mlir
def test_reshapes_are_views_of_one_buffer() -> None:
    text = DOUBLE + "func.func @main(%x: tensor<?x4xf32>) -> tensor<2x?x2xf32> {"
    text += """
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %m = tensor.dim %x, %c0 : tensor<?x4xf32>
  %n = arith.muli %m, %c4 : index
  %f = tensor.collapse_shape %x [[0, 1]] : tensor<?x4xf32> into tensor<?xf32>
"""
    text += call("y", "double", "%f")
    text += """
  %s = tensor.from_elements %c2, %m, %c2 : tensor<3xindex>
  %r = tensor.reshape %y(%s) : (tensor<?xf32>, tensor<3xindex>) -> tensor<2x?x2xf32>
  func.return %r : tensor<2x?x2xf32>
}"""
    x = random(12).reshape(3, 4)
    y = np.zeros((2, 3, 2), np.float32)
    plan = Native(lowered(text, NAIVE))([x], [y], [3])
    np.testing.assert_array_equal(y, (x + x).reshape(2, 3, 2))
    assert plan == [0, 3]


@needs_mlir
def test_scalars_are_reshaped_too() -> None:
    text = """
func.func @main(%x: tensor<1x1xf32>) -> (tensor<f32>, tensor<1xf32>) {
  %f = tensor.collapse_shape %x [] : tensor<1x1xf32> into tensor<f32>
  %v = tensor.extract %f[] : tensor<f32>
  %w = arith.addf %v, %v : f32
  %e = tensor.from_elements %w : tensor<1xf32>
  func.return %f, %e : tensor<f32>, tensor<1xf32>
}"""
    x, y, z = np.array([[3.0]], np.float32), np.zeros((), np.float32), np.zeros(1, np.float32)
    Native(lowered(text, NAIVE))([x], [y, z], [])
    assert (y, z[0]) == (3, 6)


@needs_mlir
def test_constants_are_shared_globals() -> None:
    text = ADD.replace("?", "4")
    text += """
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %d = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %e = tensor.empty() : tensor<4xf32>
  %s = func.call @add(%x, %c, %e) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %f = tensor.empty() : tensor<4xf32>
  %r = func.call @add(%s, %d, %f) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %r : tensor<4xf32>
}"""
    module = lowered(text, NAIVE)
    assert str(module).count("memref.global") == 1
    x, y = random(4), np.zeros(4, np.float32)
    Native(module)([x], [y], [])
    np.testing.assert_allclose(y, x + 2 * np.arange(1, 5), rtol=1e-6)


def test_resources_keep_their_keys() -> None:
    text = """
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = arith.constant dense_resource<weights> : tensor<4xf32>
  func.return %c : tensor<4xf32>
}"""
    printed = str(lowered(text, (BufferizePass,)))
    assert 'memref.global "private" constant @weights : memref<4xf32> = dense_resource<weights>' in printed
    assert "memref.copy" in printed


# The arena


def chain(count: int) -> str:
    text = DOUBLE + "func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {" + SIZES
    value = "%x"
    for step in range(count):
        text += call(f"v{step}", "double", value)
        value = f"%v{step}"
    return text + f"  func.return {value} : tensor<?xf32>\n}}"


@needs_mlir
@pytest.mark.parametrize("size", ["?", "100"])
def test_buffers_of_a_long_chain_take_turns(size: str) -> None:
    text = chain(7).replace("?", size)
    if size != "?":
        text = text.replace("tensor.empty(%n)", "tensor.empty()")
    x, y = random(100), np.zeros(100, np.float32)
    module = lowered(text, NAIVE)
    plan = Native(module)([x], [y], [100] if size == "?" else [])
    np.testing.assert_array_equal(y, x * 128)
    assert plan[0] == 2 * 448, "two aligned buffers of 400 bytes"
    assert "memref.alloc" not in str(module)


@needs_mlir
def test_buffers_that_live_at_once_do_not_overlap() -> None:
    text = DOUBLE + ADD + "func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {" + SIZES
    text += call("a", "double", "%x") + call("b", "double", "%a") + call("c", "double", "%b")
    text += call("d", "add", "%a", "%b") + call("e", "add", "%c", "%d") + "  func.return %e : tensor<?xf32>\n}"
    x, y = random(21), np.zeros(21, np.float32)
    run(text, [x], [y])
    np.testing.assert_allclose(y, x * 14, rtol=1e-6)


def test_static_buffers_fit_into_gaps() -> None:
    kernel = elementwise("k", "%y = arith.addf %a1, %a1 : f32", 1, "N")
    sizes = [1000, 10, 500]
    text = "".join(kernel.replace("@k", f"@k{size}").replace("N", str(size)) for size in sizes)
    text += (
        "func.func @main(%x1000: tensor<1000xf32>, %x10: tensor<10xf32>, %x500: tensor<500xf32>) -> tensor<10xf32> {\n"
    )
    for size in sizes:
        type_ = f"tensor<{size}xf32>"
        text += f"  %e{size} = tensor.empty() : {type_}\n"
        text += f"  %y{size} = func.call @k{size}(%x{size}, %e{size}) : ({type_}, {type_}) -> {type_}\n"
        text += f"  %f{size} = tensor.empty() : {type_}\n"
        text += f"  %z{size} = func.call @k{size}(%y{size}, %f{size}) : ({type_}, {type_}) -> {type_}\n"
    text += "  func.return %z10 : tensor<10xf32>\n}"
    printed = str(lowered(text, (BufferizePass, PlanArenaPass)))
    plan = printed[printed.index("@main.plan") :]
    assert re.search(r"arith.constant (\d+) : index", plan).group(1) == str(2 * 4032), "the largest pair, no more"


@needs_mlir
def test_a_size_that_depends_on_data_is_allocated_and_released() -> None:
    text = (
        DOUBLE
        + """
func.func @main(%x: tensor<?xf32>, %k: tensor<i64>) -> tensor<2xf32> {
  %v = tensor.extract %k[] : tensor<i64>
  %n = arith.index_cast %v : i64 to index
  %c0 = arith.constant 0 : index
"""
        + call("y", "double", "%x")
        + """
  %a = tensor.extract %y[%c0] : tensor<?xf32>
  %r = tensor.from_elements %a, %a : tensor<2xf32>
  func.return %r : tensor<2xf32>
}"""
    )
    module = lowered(text, NAIVE)
    assert str(module).count("memref.alloc(") == str(module).count("memref.dealloc") == 1
    x, y = random(5), np.zeros(2, np.float32)
    Native(module)([x, np.array(5)], [y], [5])
    np.testing.assert_array_equal(y, [x[0] * 2] * 2)


# Donated inputs


def donated(body: str, result: str = "%y") -> str:
    return (
        DOUBLE + ADD + SHIFT + "func.func @main(%x: tensor<?xf32>, %z: tensor<?xf32>) -> (tensor<?xf32>"
        " {lamina.alias = 0 : i64}, tensor<?xf32>) {"
        + SIZES
        + body
        + f"  func.return {result}, %other : tensor<?xf32>, tensor<?xf32>\n}}"
    )


@needs_mlir
@pytest.mark.parametrize(
    ("body", "in_place"),
    [
        (call("other", "double", "%x") + call("y", "add", "%x", "%z"), True),
        (call("y", "add", "%x", "%z") + call("other", "double", "%x"), False),
        (call("other", "double", "%z") + call("y", "shift", "%x"), False),
    ],
    ids=["last read in step", "read later", "read elsewhere"],
)
def test_a_donated_input_is_overwritten_when_it_is_safe(body: str, in_place: bool) -> None:
    module = lowered(donated(body), NAIVE)
    assert ("memref.copy" not in str(module)) == in_place
    x, z, other = random(17), random(17, 1), np.zeros(17, np.float32)
    before = x.copy()
    plan = Native(module)([x, z], [other], [17, 17])
    assert len(plan) == 2, "the arena, and the size of the one output argument"
    np.testing.assert_array_equal(x, before[::-1] if "shift" in body else before + z)
    np.testing.assert_array_equal(other, 2 * (before if "%x, %e_other" in body else z))


@needs_mlir
def test_donated_inputs_may_be_exchanged() -> None:
    text = """
func.func @main(%x: tensor<3xf32>, %z: tensor<3xf32>) -> (tensor<3xf32> {lamina.alias = 0 : i64},
    tensor<3xf32> {lamina.alias = 1 : i64}, tensor<3xf32>) {
  func.return %z, %x, %x : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}"""
    x, z, copy = random(3), random(3, 1), np.zeros(3, np.float32)
    wanted = z.copy(), x.copy()
    Native(lowered(text, NAIVE))([x, z], [copy], [])
    np.testing.assert_array_equal((x, z), wanted)
    np.testing.assert_array_equal(copy, wanted[1])


@pytest.mark.parametrize("alias", [0, 7])
def test_an_input_is_donated_to_one_result(alias: int) -> None:
    text = f"""
func.func @main(%x: tensor<3xf32>) -> (tensor<3xf32> {{lamina.alias = 0 : i64}}, tensor<3xf32> {{lamina.alias = {alias} : i64}}) {{
  func.return %x, %x : tensor<3xf32>, tensor<3xf32>
}}"""
    with pytest.raises(LaminaError, match="an input of its own"):
        BufferizePass().apply(new_context(), parse(text))


# Control flow


@needs_mlir
@pytest.mark.parametrize("taken", [True, False])
def test_if_writes_one_buffer_from_both_branches(taken: bool) -> None:
    text = DOUBLE + ADD + "func.func @main(%x: tensor<?xf32>, %p: tensor<i1>) -> (tensor<?xf32>, tensor<i64>) {"
    text += SIZES + "  %c = tensor.extract %p[] : tensor<i1>\n"
    text += "  %r, %k = scf.if %c -> (tensor<?xf32>, i64) {\n" + call("a", "double", "%x")
    text += "  %one = arith.constant 1 : i64\n  scf.yield %a, %one : tensor<?xf32>, i64\n} else {\n"
    text += "  %two = arith.constant 2 : i64\n  scf.yield %x, %two : tensor<?xf32>, i64\n}\n"
    text += call("y", "add", "%r", "%x") + "  %s = tensor.from_elements %k : tensor<1xi64>\n"
    text += "  %t = tensor.collapse_shape %s [] : tensor<1xi64> into tensor<i64>\n"
    text += "  func.return %y, %t : tensor<?xf32>, tensor<i64>\n}"
    x, y, which = random(6), np.zeros(6, np.float32), np.zeros((), np.int64)
    Native(lowered(text, NAIVE))([x, np.array(taken)], [y, which], [6])
    np.testing.assert_allclose(y, x * (3 if taken else 2), rtol=1e-6)
    assert which == (1 if taken else 2)


@needs_mlir
def test_an_if_can_compute_an_output_at_once() -> None:
    text = DOUBLE + "func.func @main(%x: tensor<?xf32>, %p: tensor<i1>) -> tensor<?xf32> {" + SIZES
    text += "  %c = tensor.extract %p[] : tensor<i1>\n  %r = scf.if %c -> (tensor<?xf32>) {\n"
    text += "  %m = tensor.dim %x, %c0 : tensor<?xf32>\n" + call("a", "double", "%x").replace("%n", "%m")
    text += "  scf.yield %a : tensor<?xf32>\n} else {\n" + call("b", "double", "%x")
    text += "  scf.yield %b : tensor<?xf32>\n}\n  func.return %r : tensor<?xf32>\n}"
    module = lowered(text, NAIVE)
    assert "memref.copy" not in str(module)
    assert "memref.view" not in str(module)
    x, y = random(5), np.zeros(5, np.float32)
    assert Native(module)([x, np.array(False)], [y], [5]) == [0, 5]
    np.testing.assert_array_equal(y, x * 2)


def test_an_if_of_two_sizes_is_an_error() -> None:
    text = DOUBLE + "func.func @main(%x: tensor<?xf32>, %z: tensor<?xf32>, %p: tensor<i1>) -> tensor<?xf32> {" + SIZES
    text += "  %c = tensor.extract %p[] : tensor<i1>\n"
    text += "  %r = scf.if %c -> (tensor<?xf32>) {\n  scf.yield %x : tensor<?xf32>\n} else {\n"
    text += "  scf.yield %z : tensor<?xf32>\n}\n  func.return %r : tensor<?xf32>\n}"
    with pytest.raises(LaminaError, match="the size of axis 0 of result 0 depends on the branch"):
        BufferizePass().apply(new_context(), parse(text))


NAMED = 'tensor<?xf32> {lamina.dims = ["n"]}'
WHILE_HEAD = f"func.func @main(%x: {NAMED}, %z: {NAMED}, %count: tensor<i64>) -> (tensor<?xf32>, tensor<?xf32>) {{"
WHILE = """
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %k = tensor.extract %count[] : tensor<i64>
  %r, %s, %i = scf.while (%a = %x, %b = %z, %j = %zero) : (tensor<?xf32>, tensor<?xf32>, i64) -> (tensor<?xf32>, tensor<?xf32>, i64) {
    %more = arith.cmpi slt, %j, %k : i64
    scf.condition(%more) %a, %b, %j : tensor<?xf32>, tensor<?xf32>, i64
  } do {
  ^bb0(%a1: tensor<?xf32>, %b1: tensor<?xf32>, %j1: i64):
"""


@needs_mlir
@pytest.mark.parametrize("count", [0, 1, 4])
@pytest.mark.parametrize("exchange", [False, True])
def test_while_carries_buffers(count: int, exchange: bool) -> None:
    head = WHILE_HEAD
    text = DOUBLE + ADD + head + SIZES + WHILE + call("t", "add", "%a1", "%b1")
    values = "%b1, %a1" if exchange else "%b1, %t"
    text += (
        f"    %j2 = arith.addi %j1, %one : i64\n    scf.yield {values}, %j2 : tensor<?xf32>, tensor<?xf32>, i64\n  }}\n"
    )
    text += "  func.return %r, %s : tensor<?xf32>, tensor<?xf32>\n}"
    x, z = random(8), random(8, 1)
    y, w = np.zeros(8, np.float32), np.zeros(8, np.float32)
    Native(lowered(text, NAIVE))([x, z, np.array(count)], [y, w], [8, 8])
    a, b = x, z
    for _ in range(count):
        a, b = (b, a) if exchange else (b, a + b)
    np.testing.assert_allclose(y, a, rtol=1e-6)
    np.testing.assert_allclose(w, b, rtol=1e-6)


def test_a_while_whose_sizes_change_is_an_error() -> None:
    head = WHILE_HEAD
    text = DOUBLE + head + SIZES + WHILE + "    %grown = arith.addi %n, %n : index\n"
    text += call("t", "double", "%a1").replace("(%n)", "(%grown)")
    text += "    scf.yield %t, %b1, %j1 : tensor<?xf32>, tensor<?xf32>, i64\n  }\n"
    text += "  func.return %r, %s : tensor<?xf32>, tensor<?xf32>\n}"
    with pytest.raises(LaminaError, match="changes between iterations"):
        BufferizePass().apply(new_context(), parse(text))


# Errors and locations


KERNEL = "func.func private @k(%x: tensor<4xf32>, %d: tensor<4xf32>) -> tensor<4xf32> {\n"
COPY = (
    '  {result} = linalg.generic {{indexing_maps = [{map}, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}}'
    " ins({source} : tensor<4xf32>) outs({target} : tensor<4xf32>) {{\n  ^bb0(%a{n}: f32, %o{n}: f32):\n"
    "    linalg.yield %a{n} : f32\n  }} -> tensor<4xf32>\n"
)


def copy(result: str, source: str, target: str, n: int, map_: str = IDENTITY) -> str:
    return COPY.format(result=result, source=source, target=target, n=n, map=map_)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("  func.return %x : tensor<4xf32>", "result 0 of 'k' is not in its destination"),
        (
            copy("%y", "%x", "%d", 0)
            + copy("%r", "%y", "%y", 1, "affine_map<(i) -> (3 - i)>")
            + "  func.return %r : tensor<4xf32>",
            "different positions, which would need a copy",
        ),
        (
            copy("%y", "%x", "%d", 0)
            + copy("%z", "%x", "%y", 1)
            + copy("%r", "%y", "%z", 2)
            + "  func.return %r : tensor<4xf32>",
            "written to since, which would need a copy",
        ),
        (
            '  %e = "tensor.splat"(%c) : (f32) -> tensor<4xf32>\n  func.return %d : tensor<4xf32>',
            "has no form on buffers",
        ),
    ],
)
def test_what_would_need_a_copy_is_an_error_with_a_location(body: str, message: str) -> None:
    text = KERNEL + "  %c = arith.constant 0.0 : f32\n" + body + "\n}"
    module = parse_text(new_context(), text, "kernel.mlir")
    with pytest.raises(LaminaError, match=message) as error:
        BufferizePass().apply(new_context(), module)
    assert error.value.where is not None
    assert error.value.where.startswith("kernel.mlir:")


def test_an_output_whose_size_depends_on_data_is_an_error() -> None:
    text = (
        DOUBLE
        + """
func.func @main(%x: tensor<?xf32>, %k: tensor<i64>) -> tensor<?xf32> {
  %v = tensor.extract %k[] : tensor<i64>
  %n = arith.index_cast %v : i64 to index
"""
        + call("y", "double", "%x")
        + "  func.return %y : tensor<?xf32>\n}"
    )
    with pytest.raises(LaminaError, match="the size of output 0 of 'main' depends on data"):
        BufferizePass().apply(new_context(), parse(text))


SCHEDULED = """
func.func private @k(%a: tensor<8x4xf32>, %b: tensor<4x16xf32>, %d: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %r = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
      affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]}
    ins(%a, %b : tensor<8x4xf32>, tensor<4x16xf32>) outs(%d : tensor<8x16xf32>)
    attrs = {lamina.axes = ["m", "n", "k"], lamina.schedule = SCHEDULE} {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = BODY : f32
    linalg.yield %s : f32
  } -> tensor<8x16xf32>
  func.return %r : tensor<8x16xf32>
}"""
GOOD = '{kind = "contraction", row = "m", column = "n", tile = {m = 4, n = 16}, parallel = ["m"]}'


@pytest.mark.parametrize(
    ("schedule", "body", "message"),
    [
        (GOOD.replace('["m"]', '["q"]'), "arith.addf %p, %z", "names axis 'q'"),
        (GOOD.replace('["m"]', '["k"]'), "arith.addf %p, %z", "axis 'k' parallel, which is a reduction"),
        (GOOD.replace("m = 4", "m = 0"), "arith.addf %p, %z", "integers that are not 0"),
        (GOOD.replace('row = "m"', "row = 3 : i64"), "arith.addf %p, %z", "expected a string as 'row'"),
        ("3 : i64", "arith.addf %p, %z", "must be a dictionary"),
        (GOOD, "arith.subf %z, %p", "must be a product added to the result"),
        (GOOD.replace('column = "n", ', ""), "arith.addf %p, %z", "column axis"),
    ],
)
def test_schedules_that_cannot_be_carried_out_are_errors(schedule: str, body: str, message: str) -> None:
    text = SCHEDULED.replace("SCHEDULE", schedule).replace("BODY", body)
    module = parse_text(new_context(), text, "kernel.mlir")
    with pytest.raises(LaminaError, match=message) as error:
        for pass_type in (BufferizePass, TilePass, VectorizePass):
            pass_type().apply(new_context(), module)
    assert error.value.where is not None


@needs_mlir
def test_stages_of_main_stay_in_order_with_its_calls() -> None:
    """A scheduled stage is not moved across a call that reads its result, nor a fill away from its first reader."""
    attributes = 'attrs = {lamina.axes = ["i"], lamina.schedule = {kind = "rows", parallel = ["i"]}}'
    stage = """
  {result} = linalg.generic {{indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}}
    ins({source} : tensor<?xf32>) outs({target} : tensor<?xf32>) {attributes} {{
  ^bb0(%a{n}: f32, %o{n}: f32):
    %y{n} = arith.addf %a{n}, %o{n} : f32
    linalg.yield %y{n} : f32
  }} -> tensor<?xf32>
"""
    text = DOUBLE + "func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {" + SIZES
    text += "  %one = arith.constant 1.0 : f32\n  %e = tensor.empty(%n) : tensor<?xf32>\n"
    text += "  %f = linalg.fill ins(%one : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>\n"
    text += stage.format(result="%s", source="%x", target="%f", attributes="", n=0)
    text += stage.format(result="%t", source="%x", target="%s", attributes=attributes, n=1)
    text += call("u", "double", "%t")
    text += "  %g = tensor.empty(%n) : tensor<?xf32>\n"
    text += "  %h = linalg.fill ins(%one : f32) outs(%g : tensor<?xf32>) -> tensor<?xf32>\n"
    text += stage.format(result="%v", source="%u", target="%h", attributes=attributes, n=2)
    text += "  func.return %v : tensor<?xf32>\n}"
    x, y = random(5), np.zeros(5, np.float32)
    Native(lowered(text, FULL))([x], [y], [5])
    np.testing.assert_allclose(y, 2 * (1 + 2 * x) + 1, rtol=1e-5)


@pytest.mark.parametrize("passes", [1, 2, 3, 4, 5])
def test_every_op_keeps_a_location(passes: int) -> None:
    text = SCHEDULED.replace("SCHEDULE", GOOD).replace("BODY", "arith.addf %p, %z")
    text += """
func.func @main(%a: tensor<8x4xf32>, %b: tensor<4x16xf32>) -> tensor<8x16xf32> {
  %e = tensor.empty() : tensor<8x16xf32>
  %r = func.call @k(%a, %b, %e) : (tensor<8x4xf32>, tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<8x16xf32>
  func.return %r : tensor<8x16xf32>
}"""
    module = parse_text(new_context(), text, "kernel.mlir")
    for pass_type in FULL[:passes]:
        pass_type().apply(new_context(), module)
    # Constants are shared by ops of several places.
    lost = [
        op.name
        for op in module.walk()
        if isinstance(op.location, UnknownLoc) and op.name not in ("builtin.module", "arith.constant")
    ]
    assert not lost
