"""`arith` and `math` on scalars and on n-D vectors, as LLVM text that is run, against NumPy."""

import math
import re
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import BFloat16Type

from support.native import DTYPES, ENTRY, FLOATS, INTEGERS, MLIR_OPT, Native, accepted_upstream, constant_text, run

upstream = pytest.mark.skipif(MLIR_OPT is None, reason="mlir-opt is not installed")
ROWS, COLUMNS = 3, 21


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
            lines.append(f"%z{name} = {constant_text(zero, type_)}")
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
    """Run the cases and compare exactly (NaN equals NaN, and zeros have signs but for minima and maxima)."""
    results = [np.zeros((ROWS, COLUMNS), DTYPES[type_]) for _, type_, _ in cases]
    text = elementwise_text([(op, type_) for op, type_, _ in cases], inputs, vector=vector)
    run(text, *arrays, *results, vector_bits=bits, optimize=optimize)
    for (op, _, expected), result in zip(cases, results, strict=True):
        wanted = expected.astype(result.dtype)
        if result.dtype.kind not in "biu":
            result, wanted = result.astype(np.float64), wanted.astype(np.float64)
            if not re.match(r"arith\.(max|min)", op):
                known = ~np.isnan(wanted)
                np.testing.assert_array_equal(np.signbit(result[known]), np.signbit(wanted[known]), err_msg=op)
        np.testing.assert_array_equal(result, wanted, err_msg=op)


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
    quotient = np.array(
        [abs(p) // abs(q) * (1 if (p < 0) == (q < 0) else -1) for p, q in zip(exact.flat, y.flat, strict=True)]
    )
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
            (
                "math.cttz %x",
                np.array([(int(p) & -int(p)).bit_length() - 1 if p else width for p in a.flat]).reshape(x.shape),
            ),
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
        cases.append(
            (f"arith.bitcast %x : {{{source}}} to {{{bits_type}}}", bits_type, x.view(target_dtype(bits_type)))
        )
    check(cases, {"x": source}, (x,), vector=vector, bits=bits)


def target_dtype(type_):
    return DTYPES[type_]


def once_rounded(wide):
    """f64 to bf16 rounded to nearest even, by integers: the oracle of xDSL's attribute packing."""
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
        exact = [float(Fraction(a) * Fraction(b) + Fraction(c)) for a, b, c in zip(x.flat, y.flat, z.flat, strict=True)]
        cases = [("math.fma %x, %y, %z : {f64}", "f64", np.array(exact).reshape(x.shape))]
    check(cases, {"x": type_, "y": type_, "z": type_}, (x, y, z), vector=vector, bits=bits)


@SHAPES
@pytest.mark.parametrize("type_", ["i32", "i64", "i8"])
def test_integer_power(type_, vector, bits):
    x = np.resize(np.array([-3, -2, -1, 0, 1, 2, 7], DTYPES[type_]), (ROWS, COLUMNS))
    y = np.resize(
        np.array([-2, -1, 0, 1, 2, 3, 5, 9, 10, 62, 63][: 8 if type_ == "i8" else 11], DTYPES[type_]), x.shape
    )
    expected = []
    for base, exponent in zip(x.flat, y.flat, strict=True):
        base, exponent = int(base), int(exponent)
        inverse = base if abs(base) == 1 and exponent % 2 else abs(base) == 1
        value = base**exponent if exponent >= 0 else int(inverse)
        width = 8 * x.itemsize
        expected.append((value + 2 ** (width - 1)) % 2**width - 2 ** (width - 1))
    # 0 to a negative power has no value; both sides say 0.
    cases = [(f"math.ipowi %x, %y : {{{type_}}}", type_, np.array(expected, x.dtype).reshape(x.shape))]
    check(cases, {"x": type_, "y": type_}, (x, y), vector=vector, bits=bits)


def test_c_library_functions_are_called_lane_by_lane():
    x = np.linspace(-3, 3, ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    cases = [
        ("math.sin %x : {f64}", "f64", np.vectorize(math.sin)(x)),
        ("math.fpowi %x, %p : {f64}, {i32}", "f64", x**3),
    ]
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


@upstream
@pytest.mark.parametrize("vector", [False, True])
def test_upstream_accepts_the_elementwise_text(vector):
    cases = [("arith.addf %x, %y : {f32}", "f32"), ("arith.cmpf olt, %x, %y : {f32}", "i1")]
    assert accepted_upstream(elementwise_text(cases, {"x": "f32", "y": "f32"}, vector=vector))
