"""Loop- and hardware-level text printed as LLVM IR and run: against NumPy, and against MLIR's own lowering."""

import math
import re

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.native import MLIR_OPT, Native, Upstream, accepted_upstream, parse, run

from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text import LlvmTarget, print_llvm, print_llvm_text

ENTRY = "attributes {llvm.emit_c_interface}"
upstream = pytest.mark.skipif(MLIR_OPT is None, reason="mlir-opt is not installed")

DTYPES = {
    "f64": np.float64,
    "f32": np.float32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "i64": np.int64,
    "i32": np.int32,
    "i16": np.int16,
    "i8": np.int8,
    "i1": np.bool_,
    "index": np.int64,
}
FLOATS = ("f64", "f32", "f16", "bf16")
INTEGERS = ("i64", "i32", "i16", "i8")
ROWS, COLUMNS = 3, 21


# Elementwise ops


def elementwise_text(cases, inputs, *, vector):
    """A function that computes every case on `inputs` (types by name) at 3×21 elements, as loops or as n-D vectors.

    `cases`: list of (op text with {T} for the shaped types, result type).
    """
    shape = f"{ROWS}x{COLUMNS}x"
    names = list(inputs)
    arguments = [f"%m{name}: memref<{shape}{type_}>" for name, type_ in inputs.items()]
    arguments += [f"%r{index}: memref<{shape}{type_}>" for index, (_, type_) in enumerate(cases)]
    shaped = (lambda type_: f"vector<{shape}{type_}>") if vector else (lambda type_: type_)
    lines = []
    if vector:
        for name, type_ in inputs.items():
            zero = "0.0" if type_ in FLOATS else "false" if type_ == "i1" else "0"
            lines.append(f"%z{name} = arith.constant {zero} : {type_}")
            lines.append(
                f"%{name} = vector.transfer_read %m{name}[%c0, %c0], %z{name} {{in_bounds = [true, true]}} : "
                f"memref<{shape}{type_}>, {shaped(type_)}"
            )
    else:
        lines += [f"%{name} = memref.load %m{name}[%i, %j] : memref<{shape}{inputs[name]}>" for name in names]
    for index, (op, type_) in enumerate(cases):
        lines.append(f"%v{index} = " + re.sub(r"\{(\w+)\}", lambda found: shaped(found[1]), op))
        if vector:
            lines.append(
                f"vector.transfer_write %v{index}, %r{index}[%c0, %c0] {{in_bounds = [true, true]}} : "
                f"{shaped(type_)}, memref<{shape}{type_}>"
            )
        else:
            lines.append(f"memref.store %v{index}, %r{index}[%i, %j] : memref<{shape}{type_}>")
    body = "\n".join(lines)
    if not vector:
        body = f"scf.for %i = %c0 to %c3 step %c1 {{\nscf.for %j = %c0 to %c21 step %c1 {{\n{body}\n}}\n}}"
    return f"""
func.func @main({", ".join(arguments)}) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant {ROWS} : index
  %c21 = arith.constant {COLUMNS} : index
  {body}
  return
}}"""


def float_inputs(type_, seed=0):
    """Two arrays with every special value somewhere."""
    generator = np.random.default_rng(seed)
    x, y = (generator.standard_normal((2, ROWS, COLUMNS)) * 3).astype(DTYPES[type_])
    specials = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5], DTYPES[type_])
    x.reshape(-1)[: len(specials)] = specials
    y.reshape(-1)[: len(specials)] = np.roll(specials, 3)
    return x, y


def integer_inputs(type_, seed=0):
    generator = np.random.default_rng(seed)
    info = np.iinfo(DTYPES[type_])
    x = generator.integers(info.min, info.max, (ROWS, COLUMNS), DTYPES[type_], endpoint=True)
    y = generator.integers(-5, 5, (ROWS, COLUMNS), DTYPES[type_], endpoint=True)
    x.reshape(-1)[:5] = info.min + 1, info.max, 0, -1, 1
    return x, np.where(y == 0, np.array(3, y.dtype), y)


def check(cases, inputs, arrays, *, vector, bits, optimize=None):
    """Run the cases and compare bit for bit (NaN equals NaN)."""
    results = [np.zeros((ROWS, COLUMNS), DTYPES[type_]) for _, type_, _ in cases]
    text = elementwise_text([(op, type_) for op, type_, _ in cases], inputs, vector=vector)
    run(text, *arrays, *results, vector_bits=bits, optimize=optimize)
    for (op, _, expected), result in zip(cases, results, strict=True):
        np.testing.assert_array_equal(result, expected.astype(result.dtype), err_msg=op)


SHAPES = pytest.mark.parametrize(("vector", "bits"), [(False, 256), (True, 128), (True, 512)])


@SHAPES
@pytest.mark.parametrize("type_", FLOATS)
def test_float_arithmetic(type_, vector, bits):
    dtype = DTYPES[type_]
    x, y = float_inputs(type_)
    wide = np.float32 if type_ in ("f16", "bf16") else dtype
    a, b = x.astype(wide), y.astype(wide)
    with np.errstate(all="ignore"):
        remainder = np.fmod(a, b)
        cases = [
            ("arith.addf %x, %y : {T}", a + b),
            ("arith.subf %x, %y : {T}", a - b),
            ("arith.mulf %x, %y : {T}", a * b),
            ("arith.divf %x, %y : {T}", a / b),
            ("arith.remf %x, %y : {T}", remainder),
            ("arith.negf %x : {T}", -a),
            ("arith.maximumf %x, %y : {T}", np.maximum(a, b)),
            ("arith.minimumf %x, %y : {T}", np.minimum(a, b)),
            ("arith.maxnumf %x, %y : {T}", np.fmax(a, b)),
            ("arith.minnumf %x, %y : {T}", np.fmin(a, b)),
            ("math.absf %x : {T}", abs(a)),
            ("math.sqrt %x : {T}", np.sqrt(a)),
            ("math.floor %x : {T}", np.floor(a)),
            ("math.ceil %x : {T}", np.ceil(a)),
            ("math.trunc %x : {T}", np.trunc(a)),
            ("math.roundeven %x : {T}", np.round(a)),
            ("math.round %x : {T}", np.copysign(np.floor(abs(a) + wide(0.5)), a)),
            ("math.copysign %x, %y : {T}", np.copysign(a, b)),
        ]
    typed = [(op.replace("{T}", "{" + type_ + "}"), type_, expected) for op, expected in cases]
    check(typed, {"x": type_, "y": type_}, (x, y), vector=vector, bits=bits)


@SHAPES
@pytest.mark.parametrize("type_", FLOATS)
def test_float_comparisons_and_select(type_, vector, bits):
    x, y = float_inputs(type_)
    unordered = np.isnan(x) | np.isnan(y)
    predicates = {
        "false": np.zeros_like(unordered), "oeq": (x == y) & ~unordered, "ogt": x > y, "oge": x >= y, "olt": x < y,
        "ole": x <= y, "one": (x != y) & ~unordered, "ord": ~unordered, "ueq": (x == y) | unordered,
        "ugt": ~(x <= y), "uge": ~(x < y), "ult": ~(x >= y), "ule": ~(x > y), "une": (x != y) | unordered,
        "uno": unordered, "true": np.ones_like(unordered),
    }  # fmt: skip
    cases = [(f"arith.cmpf {name}, %x, %y : {{{type_}}}", "i1", expected) for name, expected in predicates.items()]
    check(cases, {"x": type_, "y": type_}, (x, y), vector=vector, bits=bits)
    condition = (np.arange(x.size) % 3 == 0).reshape(x.shape)
    syntax = f"arith.select %c, %x, %y : {{i1}}, {{{type_}}}" if vector else f"arith.select %c, %x, %y : {type_}"
    check(
        [(syntax, type_, np.where(condition, x, y))],
        {"x": type_, "y": type_, "c": "i1"},
        (x, y, condition),
        vector=vector,
        bits=bits,
    )


@SHAPES
@pytest.mark.parametrize("type_", [*INTEGERS, "index"])
def test_integer_arithmetic(type_, vector, bits):
    dtype = DTYPES[type_]
    x, y = integer_inputs("i64" if type_ == "index" else type_)
    unsigned = np.dtype(f"u{np.dtype(dtype).name}")
    a, b = x.view(unsigned), y.view(unsigned)
    width = x.dtype.itemsize * 8
    shifts = abs(y) % width
    exact = x.astype(object)
    quotient = np.array([abs(p) // abs(q) * (1 if (p < 0) == (q < 0) else -1) for p, q in zip(exact.flat, y.flat)])
    quotient = np.array([int(item) for item in quotient], object).reshape(x.shape)
    with np.errstate(all="ignore"):
        cases = [
            ("arith.addi %x, %y", x + y),
            ("arith.subi %x, %y", x - y),
            ("arith.muli %x, %y", x * y),
            ("arith.divsi %x, %y", quotient),
            ("arith.remsi %x, %y", exact - quotient * y.astype(object)),
            ("arith.divui %x, %y", (a // b).view(dtype)),
            ("arith.remui %x, %y", (a % b).view(dtype)),
            ("arith.floordivsi %x, %y", x // y),
            ("arith.ceildivsi %x, %y", -((-exact) // y.astype(object))),
            ("arith.ceildivui %x, %y", (a // b + (a % b != 0)).view(dtype)),
            ("arith.andi %x, %y", x & y),
            ("arith.ori %x, %y", x | y),
            ("arith.xori %x, %y", x ^ y),
            ("arith.maxsi %x, %y", np.maximum(x, y)),
            ("arith.minsi %x, %y", np.minimum(x, y)),
            ("arith.maxui %x, %y", np.maximum(a, b).view(dtype)),
            ("arith.minui %x, %y", np.minimum(a, b).view(dtype)),
            ("arith.shli %x, %s", x << shifts),
            ("arith.shrsi %x, %s", x >> shifts),
            ("arith.shrui %x, %s", (a >> shifts.view(unsigned)).view(dtype)),
            ("math.ctpop %x", np.bitwise_count(a)),
            ("math.absi %x", abs(x)),
            ("math.cttz %x", np.array([(int(p) & -int(p)).bit_length() - 1 if p else width for p in a.flat]).reshape(x.shape)),
            ("math.ctlz %x", np.array([width - int(p).bit_length() for p in a.flat]).reshape(x.shape)),
        ]
    typed = [(f"{op} : {{{type_}}}", type_, expected) for op, expected in cases]
    check(typed, {"x": type_, "y": type_, "s": type_}, (x, y, shifts.astype(dtype)), vector=vector, bits=bits)


@SHAPES
@pytest.mark.parametrize("type_", INTEGERS)
def test_integer_comparisons(type_, vector, bits):
    x, y = integer_inputs(type_)
    x[1] = y[1]
    unsigned = np.dtype(f"u{x.dtype.name}")
    a, b = x.view(unsigned), y.view(unsigned)
    predicates = {
        "eq": x == y, "ne": x != y, "slt": x < y, "sle": x <= y, "sgt": x > y, "sge": x >= y,
        "ult": a < b, "ule": a <= b, "ugt": a > b, "uge": a >= b,
    }  # fmt: skip
    cases = [(f"arith.cmpi {name}, %x, %y : {{{type_}}}", "i1", expected) for name, expected in predicates.items()]
    check(cases, {"x": type_, "y": type_}, (x, y), vector=vector, bits=bits)


@SHAPES
@pytest.mark.parametrize("source", FLOATS)
def test_float_casts(source, vector, bits):
    x = np.random.default_rng(0).integers(0, 2**64, (ROWS, COLUMNS), np.uint64).view(np.uint8)
    x = x.reshape(ROWS, COLUMNS, 8)[..., : np.dtype(DTYPES[source]).itemsize].copy().view(DTYPES[source])[..., 0]
    x[0, :6] = [np.nan, np.inf, -np.inf, -0.0, 1.0, -129.5]
    x[1] = (x[1].astype(np.float32) * 0 + np.linspace(-3e5, 3e5, COLUMNS)).astype(x.dtype)
    x[2] = np.random.default_rng(1).standard_normal(COLUMNS).astype(x.dtype)
    cases = []
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        for target in FLOATS:
            before, after = np.dtype(DTYPES[source]).itemsize, np.dtype(DTYPES[target]).itemsize
            if before != after:
                op = "extf" if after > before else "truncf"
                # ml_dtypes rounds f64 to bf16 through f32; here it is rounded once.
                expected = once_rounded(wide) if target == "bf16" else x.astype(DTYPES[target])
                cases.append((f"arith.{op} %x : {{{source}}} to {{{target}}}", target, expected))
        for target in INTEGERS:
            for op, low, high in (
                ("fptosi", np.iinfo(target_dtype(target)).min, np.iinfo(target_dtype(target)).max),
                ("fptoui", 0, 2 ** (8 * np.dtype(target_dtype(target)).itemsize) - 1),
            ):
                exact = [0 if math.isnan(v) else int(max(min(v, 1e30), -1e30)) for v in wide.flat]
                bounded = np.array([min(max(v, low), high) for v in exact], object).reshape(x.shape)
                unsigned = np.dtype(f"u{np.dtype(target_dtype(target)).name}")
                expected = (bounded % 2 ** (8 * unsigned.itemsize)).astype(unsigned).view(target_dtype(target))
                cases.append((f"arith.{op} %x : {{{source}}} to {{{target}}}", target, expected))
        bits_type = f"i{8 * x.itemsize}"
        cases.append((f"arith.bitcast %x : {{{source}}} to {{{bits_type}}}", bits_type, x.view(target_dtype(bits_type))))
    check(cases, {"x": source}, (x,), vector=vector, bits=bits)


def target_dtype(type_):
    return DTYPES[type_]


def once_rounded(wide):
    """f64 to bf16 rounded to nearest even, by integers: the oracle of xDSL's attribute packing."""
    from xdsl.dialects.builtin import BFloat16Type

    packed = b"".join(BFloat16Type().pack((float(value),)) for value in wide.flat)
    return np.frombuffer(packed, ml_dtypes.bfloat16).reshape(wide.shape)


@SHAPES
@pytest.mark.parametrize("source", INTEGERS)
def test_integer_casts(source, vector, bits):
    x, _ = integer_inputs(source)
    unsigned = x.view(np.dtype(f"u{x.dtype.name}"))
    cases = []
    for target in INTEGERS:
        before, after = x.dtype.itemsize, np.dtype(DTYPES[target]).itemsize
        if after > before:
            cases.append((f"arith.extsi %x : {{{source}}} to {{{target}}}", target, x))
            cases.append((f"arith.extui %x : {{{source}}} to {{{target}}}", target, unsigned))
        elif after < before:
            cases.append((f"arith.trunci %x : {{{source}}} to {{{target}}}", target, x.astype(DTYPES[target])))
    cases.append((f"arith.index_cast %x : {{{source}}} to {{index}}", "index", x))
    cases.append((f"arith.index_castui %x : {{{source}}} to {{index}}", "index", unsigned))
    for target in ("f64", "f32", "f16", "bf16"):
        with np.errstate(over="ignore"):
            for op, value in (("sitofp", x), ("uitofp", unsigned)):
                wide = value.astype(np.float64) if target in ("f16", "bf16") else value
                expected = once_rounded(wide) if target == "bf16" else wide.astype(DTYPES[target])
                cases.append((f"arith.{op} %x : {{{source}}} to {{{target}}}", target, expected))
    check(cases, {"x": source}, (x,), vector=vector, bits=bits)


@SHAPES
def test_booleans_are_bytes_in_memory(vector, bits):
    x = (np.arange(ROWS * COLUMNS) % 2 == 0).reshape(ROWS, COLUMNS)
    y = (np.arange(ROWS * COLUMNS) % 3 == 0).reshape(ROWS, COLUMNS)
    cases = [
        ("arith.andi %x, %y : {i1}", "i1", x & y),
        ("arith.ori %x, %y : {i1}", "i1", x | y),
        ("arith.xori %x, %y : {i1}", "i1", x ^ y),
        ("arith.extui %x : {i1} to {i8}", "i8", x),
        ("arith.extsi %x : {i1} to {i32}", "i32", -x.astype(np.int32)),
        ("arith.uitofp %x : {i1} to {f32}", "f32", x),
    ]
    check(cases, {"x": "i1", "y": "i1"}, (x, y), vector=vector, bits=bits)


@SHAPES
@pytest.mark.parametrize("type_", ["f32", "f64"])
def test_fused_multiply_add_rounds_once(type_, vector, bits):
    dtype = DTYPES[type_]
    generator = np.random.default_rng(0)
    x, y, z = generator.standard_normal((3, ROWS, COLUMNS)).astype(dtype)
    z = (-x * y).astype(dtype)
    exact = x.astype(np.longdouble) * y.astype(np.longdouble) + z.astype(np.longdouble)
    cases = [(f"math.fma %x, %y, %z : {{{type_}}}", type_, exact.astype(dtype))]
    if type_ == "f64":
        # A long double product of two f64 is not exact: compare what must be the rounding error of x·y.
        from fractions import Fraction

        exact = [float(Fraction(a) * Fraction(b) + Fraction(c)) for a, b, c in zip(x.flat, y.flat, z.flat)]
        cases = [("math.fma %x, %y, %z : {f64}", "f64", np.array(exact).reshape(x.shape))]
    check(cases, {"x": type_, "y": type_, "z": type_}, (x, y, z), vector=vector, bits=bits)


@SHAPES
@pytest.mark.parametrize("type_", ["i32", "i64", "i8"])
def test_integer_power(type_, vector, bits):
    x = np.resize(np.array([-3, -2, -1, 0, 1, 2, 7], DTYPES[type_]), (ROWS, COLUMNS))
    y = np.resize(np.array([-2, -1, 0, 1, 2, 3, 5, 9, 10, 62, 63][: 8 if type_ == "i8" else 11], DTYPES[type_]), x.shape)
    expected = []
    for base, exponent in zip(x.flat, y.flat):
        base, exponent = int(base), int(exponent)
        if exponent < 0:
            value = base**-exponent if abs(base) == 1 else 0
        else:
            value = base**exponent
        width = 8 * x.itemsize
        expected.append((value + 2 ** (width - 1)) % 2**width - 2 ** (width - 1))
    # 0 to a negative power has no value; both sides say 0.
    cases = [(f"math.ipowi %x, %y : {{{type_}}}", type_, np.array(expected, x.dtype).reshape(x.shape))]
    check(cases, {"x": type_, "y": type_}, (x, y), vector=vector, bits=bits)


def test_c_library_functions_are_called_lane_by_lane():
    x = np.linspace(-3, 3, ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    cases = [("math.sin %x : {f64}", "f64", np.vectorize(math.sin)(x)), ("math.fpowi %x, %p : {f64}, {i32}", "f64", x**3)]
    power = np.full(x.shape, 3, np.int32)
    for vector in (False, True):
        results = [np.zeros_like(x) for _ in cases]
        text = elementwise_text([case[:2] for case in cases], {"x": "f64", "p": "i32"}, vector=vector)
        native = Native(text)
        assert native.program.externals == ("pow", "sin")
        assert native.call(x, power, *results)[0] == 0
        np.testing.assert_allclose(results[0], cases[0][2], rtol=1e-15)
        np.testing.assert_allclose(results[1], cases[1][2], rtol=1e-15)


def test_extended_arithmetic():
    text = f"""
func.func @main(%x: memref<5xi32>, %y: memref<5xi32>, %l: memref<5xi32>, %h: memref<5xi32>, %s: memref<5xi32>,
                %o: memref<5xi1>) {ENTRY} {{
  %c0 = arith.constant 0 : index
  %a = vector.load %x[%c0] : memref<5xi32>, vector<5xi32>
  %b = vector.load %y[%c0] : memref<5xi32>, vector<5xi32>
  %low, %high = arith.mulsi_extended %a, %b : vector<5xi32>
  %sum, %over = arith.addui_extended %a, %b : vector<5xi32>, vector<5xi1>
  vector.store %low, %l[%c0] : memref<5xi32>, vector<5xi32>
  vector.store %high, %h[%c0] : memref<5xi32>, vector<5xi32>
  vector.store %sum, %s[%c0] : memref<5xi32>, vector<5xi32>
  vector.store %over, %o[%c0] : memref<5xi1>, vector<5xi1>
  return
}}"""
    x = np.array([2**31 - 1, -(2**31), -1, 12345, -7], np.int32)
    y = np.array([2**31 - 1, -(2**31), 1, -54321, -9], np.int32)
    low, high, total = np.zeros((3, 5), np.int32)
    over = np.zeros(5, np.bool_)
    run(text, x, y, low, high, total, over)
    product = x.astype(np.int64) * y
    np.testing.assert_array_equal(low, product.astype(np.int32))
    np.testing.assert_array_equal(high, (product >> 32).astype(np.int32))
    np.testing.assert_array_equal(total, x + y)
    np.testing.assert_array_equal(over, (x.view(np.uint32).astype(np.uint64) + y.view(np.uint32)) >= 2**32)


# Transfers between buffers and vectors


@st.composite
def transfers(draw):
    """A buffer, and a vector read from or written to it at a permutation map, bounds and a mask."""
    rank = draw(st.integers(1, 3))
    sizes = [draw(st.integers(1, 9)) for _ in range(rank - 1)] + [draw(st.integers(1, 40))]
    dynamic = [draw(st.booleans()) for _ in sizes]
    vector_rank = draw(st.integers(1, rank))
    axes = draw(st.permutations(range(rank)))[:vector_rank]
    if draw(st.booleans()):
        axes = sorted(axes)
    broadcast = [draw(st.integers(0, 4)) == 0 for _ in axes]
    starts = [draw(st.integers(0, size - 1)) for size in sizes]
    shape, in_bounds = [], []
    for axis, repeated in zip(axes, broadcast):
        left = sizes[axis] - starts[axis]
        extent = draw(st.integers(1, 20 if axis == rank - 1 else 5))
        within = repeated or draw(st.booleans())
        if within and not repeated:
            extent = min(extent, left)
        shape.append(extent)
        in_bounds.append(within)
    masked = draw(st.booleans())
    return {
        "type": draw(st.sampled_from(["f32", "f64", "bf16", "i8", "i1", "i64"])),
        "sizes": sizes,
        "dynamic": dynamic,
        "axes": [None if repeated else axis for axis, repeated in zip(axes, broadcast)],
        "starts": starts,
        "constant_starts": draw(st.booleans()),
        "shape": shape,
        "in_bounds": in_bounds,
        "mask": [draw(st.integers(0, 21)) for _ in range(rank)] if masked else None,
        "bits": draw(st.sampled_from([128, 256, 512])),
    }


def transfer_parts(case):
    """The pieces of text that reads and writes share."""
    rank = len(case["sizes"])
    dims = ", ".join(f"d{axis}" for axis in range(rank))
    results = ", ".join("0" if axis is None else f"d{axis}" for axis in case["axes"])
    sizes = ["?" if dynamic else str(size) for size, dynamic in zip(case["sizes"], case["dynamic"])]
    buffer = f"memref<{'x'.join(sizes)}x{case['type']}>"
    vector = f"vector<{'x'.join(map(str, case['shape']))}x{case['type']}>"
    bounds = ", ".join("true" if within else "false" for within in case["in_bounds"])
    attributes = f"{{in_bounds = [{bounds}], permutation_map = affine_map<({dims}) -> ({results})>}}"
    lines = ["%c0 = arith.constant 0 : index"]
    for axis, start in enumerate(case["starts"]):
        if case["constant_starts"]:
            lines.append(f"%s{axis} = arith.constant {start} : index")
        else:
            lines.append(f"%s{axis} = arith.addi %n{axis}, %c0 : index")
    mask = mask_type = ""
    covered = sorted((axis, position) for position, axis in enumerate(case["axes"]) if axis is not None)
    if case["mask"] is not None and covered:
        counts = [f"%k{axis}" for axis, _ in covered]
        lines += [f"%k{axis} = arith.constant {case['mask'][axis]} : index" for axis, _ in covered]
        mask_type = f"vector<{'x'.join(str(case['shape'][position]) for _, position in covered)}xi1>"
        lines.append(f"%mask = vector.create_mask {', '.join(counts)} : {mask_type}")
        mask = ", %mask"
    starts = ", ".join(f"%s{axis}" for axis in range(rank))
    arguments = ", ".join(f"%n{axis}: index" for axis in range(rank))
    return buffer, vector, attributes, lines, mask, starts, arguments


def places(case):
    """(position in the vector, index in the buffer) of every lane that exists."""
    masked = case["mask"] is not None
    for position in np.ndindex(*case["shape"]):
        index, exists = list(case["starts"]), True
        for item, axis in zip(position, case["axes"]):
            if axis is not None:
                index[axis] += item
                exists &= index[axis] < case["sizes"][axis]
                exists &= not masked or item < case["mask"][axis]
        if exists:
            yield position, tuple(index)


def random_array(shape, type_, seed=0):
    generator = np.random.default_rng(seed)
    return (generator.integers(0, 2, shape) if type_ == "i1" else generator.integers(-100, 100, shape)).astype(
        DTYPES[type_]
    )


@settings(max_examples=60, deadline=None)
@given(transfers())
def test_transfer_read(case):
    buffer, vector, attributes, lines, mask, starts, arguments = transfer_parts(case)
    type_ = case["type"]
    padding = {"i1": "true"}.get(type_, "7.0" if type_ in FLOATS else "7")
    out = buffer_of(vector)
    text = f"""
func.func @main({arguments}, %m: {buffer}, %o: {out}) {ENTRY} {{
  {chr(10).join(lines)}
  %padding = arith.constant {padding} : {type_}
  %v = vector.transfer_read %m[{starts}], %padding{mask} {attributes} : {buffer}, {vector}
  vector.transfer_write %v, %o[{", ".join(["%c0"] * len(case["shape"]))}]
    {{in_bounds = [{", ".join(["true"] * len(case["shape"]))}]}} : {vector}, {out}
  return
}}"""
    source = random_array(case["sizes"], type_)
    result = np.zeros(case["shape"], DTYPES[type_])
    run(text, *case["starts"], source, result, vector_bits=case["bits"], optimize=False)
    expected = np.full(case["shape"], 1 if type_ == "i1" else 7, DTYPES[type_])
    for position, index in places(case):
        expected[position] = source[index]
    np.testing.assert_array_equal(result, expected)


def buffer_of(vector):
    return vector.replace("vector<", "memref<")


@settings(max_examples=60, deadline=None)
@given(transfers())
def test_transfer_write(case):
    case["axes"] = [axis for axis in case["axes"] if axis is not None] or [0]
    case["shape"] = case["shape"][: len(case["axes"])]
    case["in_bounds"] = [False] * len(case["axes"])
    buffer, vector, attributes, lines, mask, starts, arguments = transfer_parts(case)
    type_ = case["type"]
    source_type = buffer_of(vector)
    padding = "false" if type_ == "i1" else "0.0" if type_ in FLOATS else "0"
    text = f"""
func.func @main({arguments}, %m: {buffer}, %o: {source_type}) {ENTRY} {{
  {chr(10).join(lines)}
  %padding = arith.constant {padding} : {type_}
  %v = vector.transfer_read %o[{", ".join(["%c0"] * len(case["shape"]))}], %padding
    {{in_bounds = [{", ".join(["true"] * len(case["shape"]))}]}} : {source_type}, {vector}
  vector.transfer_write %v, %m[{starts}]{mask} {attributes} : {vector}, {buffer}
  return
}}"""
    source = random_array(case["shape"], type_, 1)
    result = random_array(case["sizes"], type_, 2)
    expected = result.copy()
    for position, index in places(case):
        expected[index] = source[position]
    run(text, *case["starts"], result, source, vector_bits=case["bits"], optimize=False)
    np.testing.assert_array_equal(result, expected)


# Kernels of explicit vectors, and everything else, against MLIR's own lowering

KERNELS = {}


def kernel(*shapes, index_arguments=(), types=None):
    """Register a kernel text under the function's name, with the shapes of its buffers."""

    def register(function):
        KERNELS[function.__name__] = (function.__doc__, shapes, index_arguments, types)
        return function

    return register


@kernel((13, 9), (9, 20), (20,), (13, 20))
def contraction():
    """
func.func @main(%a: memref<?x?xf32>, %b: memref<?x20xf32>, %bias: memref<20xf32>, %c: memref<?x20xf32>)
    attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %z = arith.constant 0.0 : f32
  %zero = arith.constant dense<0.0> : vector<6x20xf32>
  %m = memref.dim %a, %c0 : memref<?x?xf32>
  %k = memref.dim %a, %c1 : memref<?x?xf32>
  scf.for %i = %c0 to %m step %c6 {
    %left = arith.subi %m, %i : index
    %mask = vector.create_mask %left : vector<6xi1>
    %sum = scf.for %kk = %c0 to %k step %c1 iter_args(%acc = %zero) -> (vector<6x20xf32>) {
      %column = vector.transfer_read %a[%i, %kk], %z, %mask
        {in_bounds = [true], permutation_map = affine_map<(m, k) -> (m)>} : memref<?x?xf32>, vector<6xf32>
      %row = vector.load %b[%kk, %c0] : memref<?x20xf32>, vector<20xf32>
      %next = vector.outerproduct %column, %row, %acc : vector<6xf32>, vector<20xf32>
      scf.yield %next : vector<6x20xf32>
    }
    %bb = vector.transfer_read %bias[%c0], %z
      {in_bounds = [true, true], permutation_map = affine_map<(n) -> (0, n)>} : memref<20xf32>, vector<6x20xf32>
    %s = arith.addf %sum, %bb : vector<6x20xf32>
    %flag = arith.cmpf ogt, %s, %zero : vector<6x20xf32>
    %r = arith.select %flag, %s, %zero : vector<6x20xi1>, vector<6x20xf32>
    vector.transfer_write %r, %c[%i, %c0] {in_bounds = [false, true]} : vector<6x20xf32>, memref<?x20xf32>
  }
  return
}"""


@kernel((4, 3, 19), (3, 19), (4, 19), (4, 3), (1,))
def reductions():
    """
func.func @main(%x: memref<4x3x19xf32>, %a: memref<3x19xf32>, %b: memref<4x19xf32>, %c: memref<4x3xf32>,
                %d: memref<1xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %v = vector.transfer_read %x[%c0, %c0, %c0], %z {in_bounds = [true, true, true]}
    : memref<4x3x19xf32>, vector<4x3x19xf32>
  %za = arith.constant dense<1.0> : vector<3x19xf32>
  %ra = vector.multi_reduction <maximumf>, %v, %za [0] : vector<4x3x19xf32> to vector<3x19xf32>
  vector.transfer_write %ra, %a[%c0, %c0] {in_bounds = [true, true]} : vector<3x19xf32>, memref<3x19xf32>
  %zb = arith.constant dense<2.0> : vector<4x19xf32>
  %rb = vector.multi_reduction <minimumf>, %v, %zb [1] : vector<4x3x19xf32> to vector<4x19xf32>
  vector.transfer_write %rb, %b[%c0, %c0] {in_bounds = [true, true]} : vector<4x19xf32>, memref<4x19xf32>
  %zc = arith.constant dense<3.0> : vector<4x3xf32>
  %rc = vector.multi_reduction <add>, %v, %zc [2] : vector<4x3x19xf32> to vector<4x3xf32>
  vector.transfer_write %rc, %c[%c0, %c0] {in_bounds = [true, true]} : vector<4x3xf32>, memref<4x3xf32>
  %rd = vector.multi_reduction <add>, %v, %z [0, 1, 2] : vector<4x3x19xf32> to f32
  memref.store %rd, %d[%c0] : memref<1xf32>
  return
}"""


@kernel((37,), (8,))
def ordered_and_unordered_reductions():
    """
func.func @main(%x: memref<37xf32>, %o: memref<8xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %start = arith.constant 0.5 : f32
  %v = vector.load %x[%c0] : memref<37xf32>, vector<37xf32>
  %a = vector.reduction <add>, %v : vector<37xf32> into f32
  %b = vector.reduction <add>, %v, %start : vector<37xf32> into f32
  %c = vector.reduction <maximumf>, %v : vector<37xf32> into f32
  %d = vector.reduction <minnumf>, %v, %start : vector<37xf32> into f32
  %e = vector.reduction <mul>, %v : vector<37xf32> into f32
  memref.store %a, %o[%c0] : memref<8xf32>
  memref.store %b, %o[%c1] : memref<8xf32>
  memref.store %c, %o[%c2] : memref<8xf32>
  memref.store %d, %o[%c3] : memref<8xf32>
  memref.store %e, %o[%c4] : memref<8xf32>
  return
}"""


@kernel((3, 22), (22,), (6, 11), (22, 3), (3, 5), (2, 3, 22), (22,))
def reshapes():
    """
func.func @main(%x: memref<3x22xf32>, %row: memref<22xf32>, %cast: memref<6x11xf32>, %t: memref<22x3xf32>,
                %slice: memref<3x5xf32>, %b: memref<2x3x22xf32>, %inserted: memref<22xf32>)
    attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %v = vector.transfer_read %x[%c0, %c0], %z {in_bounds = [true, true]} : memref<3x22xf32>, vector<3x22xf32>
  %r = vector.extract %v[1] : vector<22xf32> from vector<3x22xf32>
  vector.store %r, %row[%c0] : memref<22xf32>, vector<22xf32>
  %s = vector.shape_cast %v : vector<3x22xf32> to vector<6x11xf32>
  vector.transfer_write %s, %cast[%c0, %c0] {in_bounds = [true, true]} : vector<6x11xf32>, memref<6x11xf32>
  %tt = vector.transpose %v, [1, 0] : vector<3x22xf32> to vector<22x3xf32>
  vector.transfer_write %tt, %t[%c0, %c0] {in_bounds = [true, true]} : vector<22x3xf32>, memref<22x3xf32>
  %part = vector.extract_strided_slice %v {offsets = [0, 15], sizes = [3, 5], strides = [1, 1]}
    : vector<3x22xf32> to vector<3x5xf32>
  vector.transfer_write %part, %slice[%c0, %c0] {in_bounds = [true, true]} : vector<3x5xf32>, memref<3x5xf32>
  %bb = vector.broadcast %v : vector<3x22xf32> to vector<2x3x22xf32>
  %e = vector.extract %v[2, 20] : f32 from vector<3x22xf32>
  %bi = vector.insert %e, %bb[1, 0, 18] : f32 into vector<2x3x22xf32>
  %bj = vector.insert %r, %bi[0, 2] : vector<22xf32> into vector<2x3x22xf32>
  vector.transfer_write %bj, %b[%c0, %c0, %c0] {in_bounds = [true, true, true]}
    : vector<2x3x22xf32>, memref<2x3x22xf32>
  %all = vector.broadcast %e : f32 to vector<22xf32>
  %i = vector.insert %z, %all[21] : f32 into vector<22xf32>
  vector.store %i, %inserted[%c0] : memref<22xf32>, vector<22xf32>
  return
}"""


@kernel((3, 20), (3, 20), index_arguments=(2, 17))
def masks():
    """
func.func @main(%n: index, %k: index, %x: memref<3x20xf32>, %o: memref<3x20xf32>)
    attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %z = arith.constant -1.0 : f32
  %m = vector.create_mask %n, %k : vector<3x20xi1>
  %c = vector.constant_mask [3, 5] : vector<3x20xi1>
  %both = arith.xori %m, %c : vector<3x20xi1>
  %v = vector.transfer_read %x[%c0, %c0], %z, %both {in_bounds = [true, true]}
    : memref<3x20xf32>, vector<3x20xf32>
  vector.transfer_write %v, %o[%c0, %c0], %m {in_bounds = [true, true]} : vector<3x20xf32>, memref<3x20xf32>
  return
}"""


@kernel((6, 30), (30,), (6, 30))
def views():
    """
func.func @main(%x: memref<6x30xf32>, %r: memref<30xf32>, %o: memref<6x30xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c5 = arith.constant 5 : index
  %t = memref.subview %x[%c2, 4] [3, 10] [1, 2]
    : memref<6x30xf32> to memref<3x10xf32, strided<[30, 2], offset: ?>>
  %row = memref.subview %t[1, 0] [1, 10] [1, 1]
    : memref<3x10xf32, strided<[30, 2], offset: ?>> to memref<10xf32, strided<[2], offset: ?>>
  scf.for %j = %c0 to %c5 step %c1 {
    %v = memref.load %row[%j] : memref<10xf32, strided<[2], offset: ?>>
    memref.store %v, %r[%j] : memref<30xf32>
  }
  %flat = memref.collapse_shape %x [[0, 1]] : memref<6x30xf32> into memref<180xf32>
  %e = memref.expand_shape %flat [[0, 1, 2]] output_shape [6, 5, 6] : memref<180xf32> into memref<6x5x6xf32>
  %w = memref.load %e[%c3, %c2, %c5] : memref<6x5x6xf32>
  memref.store %w, %r[%c5] : memref<30xf32>
  %source = memref.subview %x[0, 3] [6, 20] [1, 1] : memref<6x30xf32> to memref<6x20xf32, strided<[30, 1], offset: 3>>
  %target = memref.subview %o[0, 5] [6, 20] [1, 1] : memref<6x30xf32> to memref<6x20xf32, strided<[30, 1], offset: 5>>
  memref.copy %source, %target
    : memref<6x20xf32, strided<[30, 1], offset: 3>> to memref<6x20xf32, strided<[30, 1], offset: 5>>
  %again = memref.reinterpret_cast %x to offset: [7], sizes: [4], strides: [30]
    : memref<6x30xf32> to memref<4xf32, strided<[30], offset: 7>>
  %u = memref.load %again[%c2] : memref<4xf32, strided<[30], offset: 7>>
  memref.store %u, %r[%c0] : memref<30xf32>
  return
}"""


@kernel((5, 12), (8,), index_arguments=(3, 29), types=("f32", "i64"))
def affine():
    """
func.func @main(%n: index, %k: index, %x: memref<5x12xf32>, %o: memref<8xi64>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %m = arith.subi %n, %k : index
  %a = affine.apply affine_map<(d0)[s0] -> (d0 floordiv 5 + s0 * 3 - 7)> (%m)[%k]
  %b = affine.apply affine_map<(d0) -> (d0 ceildiv 4 + d0 mod 7)> (%m)
  %c = affine.min affine_map<(d0, d1) -> (d0 + 4, d1 - 20, 11)> (%n, %k)
  %d = affine.max affine_map<(d0)[s0] -> (d0, s0 - 3)> (%n)[%k]
  %e = affine.apply affine_map<(d0) -> (d0 mod 8 + d0 floordiv 16)> (%m)
  %ai = arith.index_cast %a : index to i64
  %bi = arith.index_cast %b : index to i64
  %ci = arith.index_cast %c : index to i64
  %di = arith.index_cast %d : index to i64
  %ei = arith.index_cast %e : index to i64
  memref.store %ai, %o[%c0] : memref<8xi64>
  memref.store %bi, %o[%c1] : memref<8xi64>
  memref.store %ci, %o[%c2] : memref<8xi64>
  memref.store %di, %o[%c3] : memref<8xi64>
  memref.store %ei, %o[%c4] : memref<8xi64>
  return
}"""


@kernel((10,), (10,), (4,), types=("f32", "f32", "i64"))
def control_flow():
    """
func.func private @helper(%x: f32, %n: index) -> (f32, index) {
  %two = arith.constant 2.0 : f32
  %y = arith.mulf %x, %two : f32
  return %y, %n : f32, index
}
func.func @main(%x: memref<10xf32>, %y: memref<10xf32>, %o: memref<4xi64>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c10 = arith.constant 10 : index
  %one = arith.constant 1 : i64
  %zero = arith.constant 0 : i64
  %half = arith.constant 0.5 : f32
  %count, %last = scf.for %i = %c0 to %c10 step %c1 iter_args(%n = %zero, %l = %half) -> (i64, f32) {
    %v = memref.load %x[%i] : memref<10xf32>
    %positive = arith.cmpf ogt, %v, %half : f32
    %m, %w = scf.if %positive -> (i64, f32) {
      %more = arith.addi %n, %one : i64
      %t, %same = func.call @helper(%v, %i) : (f32, index) -> (f32, index)
      memref.store %t, %y[%same] : memref<10xf32>
      scf.yield %more, %v : i64, f32
    } else {
      scf.yield %n, %l : i64, f32
    }
    scf.yield %m, %w : i64, f32
  }
  memref.store %count, %o[%c0] : memref<4xi64>
  memref.store %last, %y[%c0] : memref<10xf32>
  %log = scf.while (%n = %count) : (i64) -> i64 {
    %go = arith.cmpi sgt, %n, %one : i64
    scf.condition(%go) %n : i64
  } do {
  ^bb0(%n: i64):
    %next = arith.shrsi %n, %one : i64
    scf.yield %next : i64
  }
  memref.store %log, %o[%c1] : memref<4xi64>
  scf.forall (%i, %j) = (0, 1) to (6, 10) step (3, 4) {
    %s = arith.addi %i, %j : index
    %w = arith.index_cast %s : index to i64
    memref.store %w, %o[%c2] : memref<4xi64>
  }
  return
}"""


@kernel((9, 17), (9, 17))
def temporaries():
    """
func.func @main(%x: memref<?x17xf32>, %o: memref<?x17xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c17 = arith.constant 17 : index
  %n = memref.dim %x, %c0 : memref<?x17xf32>
  %buffer = memref.alloc(%n) : memref<?x17xf32>
  memref.copy %x, %buffer : memref<?x17xf32> to memref<?x17xf32>
  scf.for %i = %c0 to %n step %c1 {
    %row = memref.alloca() : memref<17xf32>
    %dynamic = memref.alloca(%i) : memref<?xf32>
    scf.for %j = %c0 to %c17 step %c1 {
      %v = memref.load %buffer[%i, %j] : memref<?x17xf32>
      %w = arith.addf %v, %v : f32
      memref.store %w, %row[%j] : memref<17xf32>
    }
    scf.for %j = %c0 to %i step %c1 {
      %v = memref.load %row[%j] : memref<17xf32>
      memref.store %v, %dynamic[%j] : memref<?xf32>
    }
    scf.for %j = %c0 to %i step %c1 {
      %v = memref.load %dynamic[%j] : memref<?xf32>
      memref.store %v, %o[%i, %j] : memref<?x17xf32>
    }
  }
  memref.dealloc %buffer : memref<?x17xf32>
  return
}"""


@kernel((6,), (2, 3), (3,), types=("f32", "f32", "i64"))
def constants():
    """
memref.global "private" constant @table : memref<2x3xf32> = dense<[[1.0, -2.5, 0x7FC00000], [4.0, 5.0, 6.0]]>
memref.global "private" constant @zeros : memref<3xi64> = dense<0>
memref.global "private" constant @sevens : memref<3xi64> = dense<7>
memref.global "private" constant @flags : memref<3xi1> = dense<[true, false, true]>
func.func @main(%x: memref<6xf32>, %o: memref<2x3xf32>, %p: memref<3xi64>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %t = memref.get_global @table : memref<2x3xf32>
  memref.copy %t, %o : memref<2x3xf32> to memref<2x3xf32>
  %z = memref.get_global @zeros : memref<3xi64>
  %s = memref.get_global @sevens : memref<3xi64>
  %f = memref.get_global @flags : memref<3xi1>
  scf.for %i = %c0 to %c3 step %c1 {
    %a = memref.load %z[%i] : memref<3xi64>
    %b = memref.load %s[%i] : memref<3xi64>
    %c = memref.load %f[%i] : memref<3xi1>
    %d = arith.select %c, %a, %b : i64
    memref.store %d, %p[%i] : memref<3xi64>
  }
  return
}"""


@kernel((3, 4), (12,), types=("i32", "i32"))
def integer_vectors():
    """
func.func @main(%x: memref<3x4xi32>, %o: memref<12xi32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %z = arith.constant 0 : i32
  %v = vector.transfer_read %x[%c0, %c0], %z {in_bounds = [true, true]} : memref<3x4xi32>, vector<3x4xi32>
  %s = vector.shape_cast %v : vector<3x4xi32> to vector<12xi32>
  %add = vector.reduction <add>, %s : vector<12xi32> into i32
  %and = vector.reduction <and>, %s : vector<12xi32> into i32
  %or = vector.reduction <or>, %s, %add : vector<12xi32> into i32
  %max = vector.reduction <maxsi>, %s : vector<12xi32> into i32
  %min = vector.reduction <minui>, %s : vector<12xi32> into i32
  memref.store %add, %o[%c0] : memref<12xi32>
  memref.store %and, %o[%c1] : memref<12xi32>
  memref.store %or, %o[%c2] : memref<12xi32>
  memref.store %max, %o[%c3] : memref<12xi32>
  memref.store %min, %o[%c4] : memref<12xi32>
  %row = vector.extract %v[1] : vector<4xi32> from vector<3x4xi32>
  %outer = vector.outerproduct %row, %row : vector<4xi32>, vector<4xi32>
  %diagonal = vector.extract %outer[2, 2] : i32 from vector<4x4xi32>
  %c5 = arith.constant 5 : index
  memref.store %diagonal, %o[%c5] : memref<12xi32>
  %steps = vector.step : vector<5xindex>
  %cast = arith.index_cast %steps : vector<5xindex> to vector<5xi32>
  %c6 = arith.constant 6 : index
  vector.store %cast, %o[%c6] : memref<12xi32>, vector<5xi32>
  return
}"""


def kernel_arguments(name, seed=0):
    _, shapes, integers, types = KERNELS[name]
    arrays = [
        random_array(shape, (types or ["f32"] * len(shapes))[index], seed + index) for index, shape in enumerate(shapes)
    ]
    # Some variety in the fractions, and powers of two so that sums in any order are exact.
    return [*integers, *((array / array.dtype.type(8) if array.dtype.kind == "f" else array) for array in arrays)]


@upstream
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_as_upstream(name):
    text = KERNELS[name][0]
    reference = Upstream(text)
    expected = kernel_arguments(name)
    reference.call(*expected)
    for bits, optimize in ((128, False), (256, True), (512, False)):
        arguments = kernel_arguments(name)
        run(text, *arguments, vector_bits=bits, optimize=optimize)
        for ours, theirs in zip(arguments, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        changed = [not np.array_equal(a, b) for a, b in zip(arguments, kernel_arguments(name), strict=True)]
        assert any(changed), "the kernel must write something for the comparison to mean anything"


@upstream
@pytest.mark.parametrize("vector", [False, True])
def test_upstream_accepts_the_elementwise_text(vector):
    cases = [("arith.addf %x, %y : {f32}", "f32"), ("arith.cmpf olt, %x, %y : {f32}", "i1")]
    assert accepted_upstream(elementwise_text(cases, {"x": "f32", "y": "f32"}, vector=vector))


# What upstream has no lowering for, or where the lowering is ours to define


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
    assert abs(float(out[0]) - wide.sum()) <= float(np.spacing(np.array(wide.sum(), np.float32))) * 2**17
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
    np.testing.assert_array_equal(brain, np.array([*values[:4], 1e38, 0.1], ml_dtypes.bfloat16))
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
    heads = dict(re.findall(r'define \w+ void @function\.(\w+)\((.*)\) #0', print_llvm_text(parse(text)[0]).text))
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
    import llvmlite.binding as llvm

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
        (
            "func.func @f(%x: f32) -> f32 {\n  %y = complex.abs %c : complex<f32>\n  return %y : f32\n}",
            None,
        ),
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
        (
            "func.func @f(%v: vector<[4]xf32>) {\n  %w = arith.addf %v, %v : vector<[4]xf32>\n  return\n}",
            None,
        ),
    ],
)
def test_what_cannot_be_printed_is_an_error_with_its_place(text, message):
    if message is None:
        pytest.skip("xDSL does not parse it")
    with pytest.raises(LaminaError, match=message) as caught:
        print_llvm(parse(text)[0])
    assert caught.value.where.startswith("test.mlir:")


def test_an_op_without_a_case_is_an_error_with_its_place():
    text = """
func.func @f(%x: memref<4xf32>) {
  %p = "memref.atomic_rmw"() : () -> index
  return
}"""
    from lamina.context import LaminaContext
    from lamina.parser import parse_text
    from xdsl.dialects import builtin, func

    context = LaminaContext(allow_unregistered=True)
    context.load_dialect(builtin.Builtin)
    context.load_dialect(func.Func)
    module = parse_text(context, text, "f.mlir")
    with pytest.raises(LaminaError, match=r"no LLVM translation for 'builtin.unregistered'|memref.atomic_rmw") as caught:
        print_llvm(module)
    assert caught.value.where == "f.mlir:3:3"


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
