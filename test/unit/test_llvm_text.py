"""Loop- and hardware-level text printed as LLVM IR and run: the ABI, parallel loops, errors, how the text is divided."""

import re

import llvmlite.binding as llvm
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text import LlvmTarget, print_llvm, print_llvm_text
from support.native import DTYPES, ENTRY, Native, parse, random_array, run


@pytest.mark.parametrize("dynamic", [False, True])
def test_copy_of_strided_parts(dynamic):
    rows, columns = ("?", "?") if dynamic else (6, 30)
    stride = "?" if dynamic else 30
    start = "?" if dynamic else 3
    text = f"""
func.func @main(%k: index, %x: memref<{rows}x{columns}xf32>, %o: memref<{rows}x{columns}xf32>,
                %whole: memref<{rows}x{columns}xf32>) {ENTRY} {{
  %s = memref.subview %x[0, {"%k" if dynamic else 3}] [6, 20] [1, 1]
    : memref<{rows}x{columns}xf32> to memref<6x20xf32, strided<[{stride}, 1], offset: {start}>>
  %t = memref.subview %o[0, {"%k" if dynamic else 3}] [6, 20] [1, 1]
    : memref<{rows}x{columns}xf32> to memref<6x20xf32, strided<[{stride}, 1], offset: {start}>>
  memref.copy %s, %t : memref<6x20xf32, strided<[{stride}, 1], offset: {start}>>
    to memref<6x20xf32, strided<[{stride}, 1], offset: {start}>>
  %a = memref.subview %x[0, 0] [3, 6] [2, 5]
    : memref<{rows}x{columns}xf32> to memref<3x6xf32, strided<[{stride if dynamic else 60}, 5]>>
  %b = memref.subview %o[0, 24] [3, 6] [1, 1]
    : memref<{rows}x{columns}xf32> to memref<3x6xf32, strided<[{stride}, 1], offset: 24>>
  memref.copy %a, %b : memref<3x6xf32, strided<[{stride if dynamic else 60}, 5]>>
    to memref<3x6xf32, strided<[{stride}, 1], offset: 24>>
  memref.copy %x, %whole : memref<{rows}x{columns}xf32> to memref<{rows}x{columns}xf32>
  return
}}"""
    x, out = random_array((6, 30), "f32"), np.zeros((6, 30), np.float32)
    whole = np.zeros_like(x)
    native = Native(text)
    assert native.call(3, x, out, whole)[0] == 0
    expected = np.zeros_like(x)
    expected[:, 3:23] = x[:, 3:23]
    expected[:3, 24:] = x[::2, ::5]
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(whole, x)
    assert "llvm.memmove" in native.llvm_text


def test_extract_and_insert_at_a_run_time_position():
    text = f"""
func.func @main(%i: index, %j: index, %x: memref<3x20xf32>, %row: memref<20xf32>, %o: memref<3x20xf32>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %z = arith.constant 9.0 : f32
  %v = vector.transfer_read %x[%c0, %c0], %z {{in_bounds = [true, true]}} : memref<3x20xf32>, vector<3x20xf32>
  %r = vector.extract %v[%i] : vector<20xf32> from vector<3x20xf32>
  %e = vector.extract %v[%i, %j] : f32 from vector<3x20xf32>
  %s = vector.insert %e, %r[%j] : f32 into vector<20xf32>
  %t = vector.insert %z, %s[0] : f32 into vector<20xf32>
  vector.store %t, %row[%c0] : memref<20xf32>, vector<20xf32>
  %w = vector.insert %t, %v[%i] : vector<20xf32> into vector<3x20xf32>
  vector.transfer_write %w, %o[%c0, %c0] {{in_bounds = [true, true]}} : vector<3x20xf32>, memref<3x20xf32>
  return
}}"""
    x, row, out = random_array((3, 20), "f32"), np.zeros(20, np.float32), np.zeros((3, 20), np.float32)
    for bits in (128, 512):
        run(text, 2, 17, x, row, out, vector_bits=bits)
        expected = x.copy()
        expected[2, 0] = 9
        np.testing.assert_array_equal(row, expected[2])
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("type_", ["f16", "bf16"])
def test_small_floats_are_computed_in_single_precision(type_):
    text = f"""
func.func @main(%x: memref<40x{type_}>, %o: memref<2x{type_}>, %p: memref<2x40x{type_}>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %z = arith.constant 1.5 : {type_}
  %v = vector.load %x[%c0] : memref<40x{type_}>, vector<40x{type_}>
  %sum = vector.reduction <add>, %v fastmath<reassoc> : vector<40x{type_}> into {type_}
  memref.store %sum, %o[%c0] : memref<2x{type_}>
  %max = vector.reduction <maximumf>, %v, %z : vector<40x{type_}> into {type_}
  memref.store %max, %o[%c1] : memref<2x{type_}>
  %two = vector.transfer_read %x[%c0], %z {{in_bounds = [true]}} : memref<40x{type_}>, vector<2x{type_}>
  %acc = arith.constant dense<0.25> : vector<2x40x{type_}>
  %outer = vector.outerproduct %two, %v, %acc : vector<2x{type_}>, vector<40x{type_}>
  vector.transfer_write %outer, %p[%c0, %c0] {{in_bounds = [true, true]}} : vector<2x40x{type_}>, memref<2x40x{type_}>
  return
}}"""
    dtype = DTYPES[type_]
    x = np.random.default_rng(0).standard_normal(40).astype(dtype)
    out, product = np.zeros(2, dtype), np.zeros((2, 40), dtype)
    run(text, x, out, product)
    wide = x.astype(np.float64)
    assert abs(float(out[0]) - wide.sum()) <= float(np.spacing(np.array(abs(wide.sum()), np.float32))) * 2**17
    assert float(out[1]) == max(wide.max(), 1.5)
    expected = (wide[:2, None] * wide + 0.25).astype(np.float32).astype(dtype)
    np.testing.assert_array_equal(product, expected)


def test_saturating_and_nan_safe_constants():
    text = f"""
func.func @main(%o: memref<6xf16>, %p: memref<6xbf16>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %v = arith.constant dense<[0x7E00, 0x7C00, 0xFC00, -0.0, 65504.0, 0.1]> : vector<6xf16>
  vector.store %v, %o[%c0] : memref<6xf16>, vector<6xf16>
  %w = arith.constant dense<[0x7FC0, 0x7F80, 0xFF80, -0.0, 1.0e38, 0.1]> : vector<6xbf16>
  vector.store %w, %p[%c0] : memref<6xbf16>, vector<6xbf16>
  return
}}"""
    half, brain = np.zeros(6, np.float16), np.zeros(6, ml_dtypes.bfloat16)
    run(text, half, brain)
    values = [np.nan, np.inf, -np.inf, -0.0, 65504.0, 0.1]
    np.testing.assert_array_equal(half, np.array(values, np.float16))
    expected = np.array([*values[:4], 1e38, 0.1], ml_dtypes.bfloat16)
    np.testing.assert_array_equal(brain.astype(np.float32), expected.astype(np.float32))
    assert np.signbit(half[3])
    assert np.signbit(brain[3])


PARALLEL = """
func.func private @kernel(%x: memref<?x?xf32>, %o: memref<?x?xf32>, %s: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = memref.dim %x, %c0 : memref<?x?xf32>
  %n = memref.dim %x, %c1 : memref<?x?xf32>
  %two = arith.constant 2.0 : f32
  %scale = arith.mulf %s, %two : f32
  %lanes = vector.broadcast %scale : f32 to vector<3xf32>
  cpu.parallel_for %i = %c0 to %m grain 4 {
    %row = memref.alloca() : memref<1xf32>
    scf.for %j = %c0 to %n step %c1 {
      %v = memref.load %x[%i, %j] : memref<?x?xf32>
      %w = arith.mulf %v, %scale : f32
      memref.store %w, %row[%c0] : memref<1xf32>
      %u = memref.load %row[%c0] : memref<1xf32>
      %e = vector.extract %lanes[1] : f32 from vector<3xf32>
      %t = arith.addf %u, %e : f32
      memref.store %t, %o[%i, %j] : memref<?x?xf32>
    }
  }
  return
}
func.func @main(%x: memref<?x?xf32>, %o: memref<?x?xf32>) attributes {llvm.emit_c_interface} {
  %s = arith.constant 1.5 : f32
  func.call @kernel(%x, %o, %s) : (memref<?x?xf32>, memref<?x?xf32>, f32) -> ()
  return
}"""


def test_parallel_loop_captures_what_it_uses():
    native = Native(PARALLEL)
    x = random_array((11, 7), "f32")
    out = np.zeros_like(x)
    assert native.call(x, out)[0] == 0
    np.testing.assert_array_equal(out, x * 3 + 3)
    assert native.parallel_calls == [(0, 11, 4)]


def test_parallel_loop_without_captures_and_with_an_empty_range():
    text = f"""
func.func @main(%n: index) {ENTRY} {{
  %c0 = arith.constant 0 : index
  cpu.parallel_for %i = %c0 to %n grain 1 {{
    %j = arith.addi %i, %c0 : index
  }}
  return
}}"""
    native = Native(text)
    for count in (0, 3):
        assert native.call(count)[0] == 0
    assert native.parallel_calls == [(0, 0, 1), (0, 3, 1)]


def test_nested_parallel_loops():
    text = f"""
func.func @main(%x: memref<?x?xi64>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = memref.dim %x, %c0 : memref<?x?xi64>
  %n = memref.dim %x, %c1 : memref<?x?xi64>
  cpu.parallel_for %i = %c0 to %m grain 2 {{
    %k = arith.muli %i, %n : index
    cpu.parallel_for %j = %c0 to %n grain 3 {{
      %s = arith.addi %k, %j : index
      %v = arith.index_cast %s : index to i64
      memref.store %v, %x[%i, %j] : memref<?x?xi64>
    }}
  }}
  return
}}"""
    x = np.zeros((5, 8), np.int64)
    run(text, x)
    np.testing.assert_array_equal(x, np.arange(40).reshape(5, 8))


ASSERTS = f"""
func.func @main(%n: index, %x: memref<?xi64>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1 : i64
  %m = memref.dim %x, %c0 : memref<?xi64>
  %same = arith.cmpi eq, %n, %m : index
  cf.assert %same, "sizes \\"n\\" differ"
  cpu.parallel_for %i = %c0 to %m grain 1 {{
    %v = memref.load %x[%i] : memref<?xi64>
    %positive = arith.cmpi sge, %v, %one : i64
    cf.assert %positive, "not positive"
    %w = arith.addi %v, %one : i64
    memref.store %w, %x[%i] : memref<?xi64>
  }}
  return
}}"""


def test_assertions():
    native = Native(ASSERTS)
    x = np.array([3, 4, 5], np.int64)
    assert native.call(3, x) == (0, None, [])
    np.testing.assert_array_equal(x, [4, 5, 6])
    # Outside loops the function returns; nothing is written.
    assert native.call(2, x)[:2] == (1, b'sizes "n" differ')
    np.testing.assert_array_equal(x, [4, 5, 6])
    # Inside a loop the rest still runs, and the first error is kept.
    x[:] = [0, 7, -1]
    assert native.call(3, x)[:2] == (1, b"not positive")
    np.testing.assert_array_equal(x, [1, 8, 0])
    # The wrapper clears the code of an earlier call.
    assert native.call(3, np.ones(3, np.int64))[0] == 0


def test_running_out_of_memory_is_an_error():
    text = f"""
func.func @main(%n: index, %x: memref<1xf32>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %z = arith.constant 2.0 : f32
  %buffer = memref.alloc(%n) : memref<?xf32>
  memref.store %z, %buffer[%c0] : memref<?xf32>
  memref.store %z, %x[%c0] : memref<1xf32>
  memref.dealloc %buffer : memref<?xf32>
  return
}}"""
    native = Native(text)
    x = np.zeros(1, np.float32)
    assert native.call(2**50, x)[:2] == (2, b"out of memory")
    assert x[0] == 0
    assert native.call(5, x)[0] == 0
    assert x[0] == 2
    assert not native.live


def test_index_results_and_rank_zero():
    text = f"""
func.func @main.plan(%m: index, %n: index) -> (index, index, index) {ENTRY} {{
  %p = arith.muli %m, %n : index
  %c4 = arith.constant 4 : index
  %b = arith.muli %p, %c4 : index
  return %b, %m, %c4 : index, index, index
}}
func.func @one(%m: memref<?xf32>) -> index {ENTRY} {{
  %c0 = arith.constant 0 : index
  %n = memref.dim %m, %c0 : memref<?xf32>
  return %n : index
}}
func.func @main(%s: memref<f32>, %o: memref<f32>) {ENTRY} {{
  %v = memref.load %s[] : memref<f32>
  %w = arith.addf %v, %v : f32
  memref.store %w, %o[] : memref<f32>
  return
}}"""
    native = Native(text)
    assert native.call(3, 5, function="main.plan", results=3) == (0, None, [60, 3, 4])
    assert native.call(np.zeros(9, np.float32), function="one", results=1) == (0, None, [9])
    source, out = np.array(2.5, np.float32), np.zeros((), np.float32)
    assert native.call(source, out)[0] == 0
    assert out == 5
    assert native.program.entry_points == {"main.plan": "lamina.main.plan", "one": "lamina.one", "main": "lamina.main"}


def test_arena_views_and_resource_constants():
    text = f"""
memref.global "private" constant @w : memref<4xf32> = dense_resource<kw>
memref.global "private" constant @v : memref<2x2xi64> = dense_resource<kv>
func.func @main(%arena: memref<?xi8>, %o: memref<4xf32>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %t = memref.view %arena[%c64][%c4] : memref<?xi8> to memref<?xf32>
  %w = memref.get_global @w : memref<4xf32>
  %v = memref.get_global @v : memref<2x2xi64>
  %i = memref.load %v[%c1, %c0] : memref<2x2xi64>
  %f = arith.sitofp %i : i64 to f32
  scf.for %j = %c0 to %c4 step %c1 {{
    %a = memref.load %w[%j] : memref<4xf32>
    %b = arith.mulf %a, %f : f32
    memref.store %b, %t[%j] : memref<?xf32>
  }}
  %s = memref.cast %t : memref<?xf32> to memref<4xf32>
  memref.copy %s, %o : memref<4xf32> to memref<4xf32>
  return
}}"""
    w, v = np.arange(4, dtype=np.float32), np.arange(4, dtype=np.int64).reshape(2, 2)
    native = Native(text, constants={"kw": w, "kv": v})
    assert native.program.constants == ("kw", "kv")
    arena, out = np.zeros(256, np.int8), np.zeros(4, np.float32)
    assert native.call(arena, out)[0] == 0
    np.testing.assert_array_equal(out, w * 2)
    np.testing.assert_array_equal(arena[64:80].view(np.float32), w * 2)


# How the text is divided and what stands in it


def test_functions_with_vectors_are_not_optimized_and_link_with_the_others():
    text = """
func.func private @vectors(%x: memref<16xf32>, %o: memref<16xf32>) {
  %c0 = arith.constant 0 : index
  %v = vector.load %x[%c0] : memref<16xf32>, vector<16xf32>
  %w = arith.addf %v, %v : vector<16xf32>
  func.call @scalars(%x, %o) : (memref<16xf32>, memref<16xf32>) -> ()
  vector.store %w, %o[%c0] : memref<16xf32>, vector<16xf32>
  return
}
func.func private @scalars(%x: memref<16xf32>, %o: memref<16xf32>) {
  memref.copy %x, %o : memref<16xf32> to memref<16xf32>
  return
}
func.func private @tanh(%x: memref<16xf32>, %o: memref<16xf32>) {
  func.call @vectors(%x, %o) : (memref<16xf32>, memref<16xf32>) -> ()
  return
}
func.func @main(%x: memref<16xf32>, %o: memref<16xf32>) attributes {llvm.emit_c_interface} {
  func.call @tanh(%x, %o) : (memref<16xf32>, memref<16xf32>) -> ()
  return
}"""
    x, out = random_array((16,), "f32"), np.zeros(16, np.float32)
    for partitions in (1, 2, 9):
        native = Native(text, partitions=partitions)
        assert {one.optimize for one in native.program.modules} == {True, False}
        assert [one.name for one in native.program.modules if not one.optimize] == ["explicit0"]
        assert len(native.program.modules) == 1 + min(partitions, 3)
        assert native.call(x, out)[0] == 0
        np.testing.assert_array_equal(out, x + x)
    single = print_llvm_text(parse(text)[0])
    assert "hidden" not in single.text
    chosen = print_llvm_text(parse(text)[0], functions=["scalars"])
    assert "function.scalars" in chosen.text
    assert "function.main" not in chosen.text


def test_kernel_pointers_are_noalias_unless_a_call_shares_storage():
    text = """
func.func private @once(%x: memref<4xf32>, %o: memref<4xf32>) {
  memref.copy %x, %o : memref<4xf32> to memref<4xf32>
  return
}
func.func private @shared(%x: memref<4xf32>, %y: memref<4xf32>, %o: memref<4xf32>) {
  func.call @inner(%x, %o) : (memref<4xf32>, memref<4xf32>) -> ()
  return
}
func.func private @inner(%x: memref<4xf32>, %o: memref<4xf32>) {
  memref.copy %x, %o : memref<4xf32> to memref<4xf32>
  return
}
func.func @main(%arena: memref<?xi8>, %x: memref<4xf32>, %o: memref<4xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %a = memref.view %arena[%c0][] : memref<?xi8> to memref<4xf32>
  %b = memref.view %arena[%c64][] : memref<?xi8> to memref<4xf32>
  func.call @once(%a, %b) : (memref<4xf32>, memref<4xf32>) -> ()
  func.call @once(%x, %a) : (memref<4xf32>, memref<4xf32>) -> ()
  func.call @shared(%o, %x, %o) : (memref<4xf32>, memref<4xf32>, memref<4xf32>) -> ()
  return
}"""
    heads = dict(re.findall(r"define \w+ void @function\.(\w+)\((.*)\) #0", print_llvm_text(parse(text)[0]).text))
    assert heads["once"].count("noalias") == 2
    assert re.findall(r"noalias (%a\d)", heads["shared"]) == ["%a1"]
    # What overlaps in the caller overlaps in what it calls.
    assert "noalias" not in heads["inner"]
    assert "noalias" not in heads["main"]


def test_elementwise_chains_go_part_by_part():
    text = """
func.func @main(%x: memref<2x32xf32>, %o: memref<2x32xf32>) {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %two = arith.constant dense<2.0> : vector<2x32xf32>
  %v = vector.transfer_read %x[%c0, %c0], %z {in_bounds = [true, true]} : memref<2x32xf32>, vector<2x32xf32>
  %w = arith.mulf %v, %two : vector<2x32xf32>
  %u = arith.addf %w, %v : vector<2x32xf32>
  vector.transfer_write %u, %o[%c0, %c0] {in_bounds = [true, true]} : vector<2x32xf32>, memref<2x32xf32>
  return
}"""
    printed = print_llvm_text(parse(text)[0], target=LlvmTarget(512)).text
    assert re.findall(r"= (load|fmul|fadd)", printed) == ["load", "fmul", "fadd"] * 4


def test_register_blocks_do_not_spill():
    """The hot loop of an 8×48 block on 512-bit registers: 24 accumulators, 3 columns, and nothing on the stack."""
    text = """
func.func @main(%a: memref<8x512xf32>, %b: memref<512x48xf32>, %c: memref<8x48xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c512 = arith.constant 512 : index
  %z = arith.constant 0.0 : f32
  %zero = arith.constant dense<0.0> : vector<8x48xf32>
  %sum = scf.for %k = %c0 to %c512 step %c1 iter_args(%acc = %zero) -> (vector<8x48xf32>) {
    %column = vector.transfer_read %a[%c0, %k], %z
      {in_bounds = [true], permutation_map = affine_map<(m, k) -> (m)>} : memref<8x512xf32>, vector<8xf32>
    %row = vector.transfer_read %b[%k, %c0], %z {in_bounds = [true]} : memref<512x48xf32>, vector<48xf32>
    %next = vector.outerproduct %column, %row, %acc : vector<8xf32>, vector<48xf32>
    scf.yield %next : vector<8x48xf32>
  }
  vector.transfer_write %sum, %c[%c0, %c0] {in_bounds = [true, true]} : vector<8x48xf32>, memref<8x48xf32>
  return
}"""
    printed = print_llvm_text(parse(text)[0], target=LlvmTarget(512)).text
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("x86_64-unknown-linux-gnu").create_target_machine(cpu="znver5", opt=2)
    assembly = machine.emit_assembly(llvm.parse_assembly(printed))
    assert assembly.count("vfmadd") == 24
    assert not re.search(r"zmm\d+, -?\d*\(%rsp\)|\(%rsp\), %zmm", assembly)


# Errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func.func @f(%x: memref<4xi4>) {\n  return\n}", "type i4 has no LLVM form here"),
        (
            "func.func @f(%x: memref<4x?xf32, strided<[?, 1]>>) {\n  return\n}",
            "its strides are not static",
        ),
        ("func.func @f(%x: f32) attributes {llvm.emit_c_interface} {\n  return\n}", "an argument of type f32"),
        (
            'memref.global "private" @g : memref<4xf32> = uninitialized\n'
            "func.func @f() {\n  %g = memref.get_global @g : memref<4xf32>\n  return\n}",
            "re-entrant",
        ),
        (
            "func.func @f(%x: memref<4xf32>) -> memref<4xf32> {\n  return %x : memref<4xf32>\n}",
            "cannot return it",
        ),
        ("func.func @f(%x: vector<[4]xf32>) {\n  return\n}", "has no LLVM form here"),
        (
            "func.func @f(%x: memref<4xf32>) {\n  %v = affine.load %x[0] : memref<4xf32>\n  return\n}",
            "no LLVM translation for 'affine.load'",
        ),
        ("func.func @f() {\n  cf.br ^bb1\n^bb1:\n  return\n}", "only structured control flow"),
        (
            "func.func @f(%n: index) {\n  %a = memref.alloc(%n) : memref<?x4xf32, strided<[8, 1]>>\n  return\n}",
            "only dense buffers are allocated",
        ),
    ],
)
def test_what_cannot_be_printed_is_an_error_with_its_place(text, message):
    with pytest.raises(LaminaError, match=message) as caught:
        print_llvm(parse(text)[0])
    assert caught.value.where.startswith("test.mlir:")


def test_the_target_is_read_from_the_module():
    text = """
module attributes {lamina.target = {vector_bits = 128 : i64, triple = "x86_64-unknown-linux-gnu"}} {
  func.func @f(%x: memref<8xf32>) {
    %c0 = arith.constant 0 : index
    %v = vector.load %x[%c0] : memref<8xf32>, vector<8xf32>
    vector.store %v, %x[%c0] : memref<8xf32>, vector<8xf32>
    return
  }
}"""
    printed = print_llvm_text(parse(text)[0]).text
    assert 'target triple = "x86_64-unknown-linux-gnu"' in printed
    assert printed.count("load <4 x float>") == 2
    assert '"prefer-vector-width"="128"' in printed
    with pytest.raises(LaminaError, match="power of two"):
        print_llvm_text(parse(text.replace("128", "100"))[0])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_parallel_nests_visit_every_iteration_once(data):
    rank = data.draw(st.integers(1, 3))
    lower = [data.draw(st.integers(0, 3)) for _ in range(rank)]
    upper = [data.draw(st.integers(0, 9)) for _ in range(rank)]
    steps = [data.draw(st.integers(1, 4)) for _ in range(rank)]
    dynamic = [[data.draw(st.booleans()) for _ in range(rank)] for _ in range(3)]
    arguments, values, bounds = [], [], []
    for kind, items in enumerate((lower, upper, steps)):
        names = []
        for axis, item in enumerate(items):
            if dynamic[kind][axis]:
                arguments.append(f"%b{kind}{axis}: index, ")
                values.append(item)
                names.append(f"%b{kind}{axis}")
            else:
                names.append(str(item))
        bounds.append(", ".join(names))
    indices = [f"%i{axis}" for axis in range(rank)]
    buffer = f"memref<{'x'.join(['10'] * rank)}xi64>"
    text = f"""
func.func @main({"".join(arguments)}%x: {buffer}) {ENTRY} {{
  %one = arith.constant 1 : i64
  scf.forall ({", ".join(indices)}) = ({bounds[0]}) to ({bounds[1]}) step ({bounds[2]}) {{
    %v = memref.load %x[{", ".join(indices)}] : {buffer}
    %w = arith.addi %v, %one : i64
    memref.store %w, %x[{", ".join(indices)}] : {buffer}
  }} {{lamina.grain = {data.draw(st.integers(1, 5))} : i64}}
  return
}}"""
    expected = np.zeros([10] * rank, np.int64)
    expected[tuple(slice(*item) for item in zip(lower, upper, steps, strict=True))] = 1
    for passes in ((), ("lower-parallel",)):
        found = np.zeros_like(expected)
        run(text, *values, found, passes=passes, optimize=False)
        np.testing.assert_array_equal(found, expected)
