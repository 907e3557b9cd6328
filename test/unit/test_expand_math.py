"""`expand-math`: the error of every function against 80-bit arithmetic, its special values, and what becomes of it."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from xdsl.dialects.builtin import f32

from lamina import pipelines
from lamina.passes.hardware import trigonometric
from lamina.passes.hardware.expand_math import RULES, WIDE_RULES
from support.math_cases import BINARY, DTYPES, FORMATS, REFERENCES, arguments_of, errors, long_double, loop
from support.native import HOST_BITS, MLIR_OPT, Native, accepted_upstream, parse


def vectors(name, type_):
    """`name` on rows of 2×21 elements, as one n-D vector."""
    operands = ["x", "y"][: 2 if name in BINARY else 1]
    buffer, vector = f"memref<?x2x21x{type_}>", f"vector<2x21x{type_}>"
    arguments = ", ".join(f"%{operand}: {buffer}" for operand in operands)
    place = "[%i, %c0, %c0]"
    loads = "\n".join(
        f"%v{operand} = vector.transfer_read %{operand}{place}, %z {{in_bounds = [true, true]}} : {buffer}, {vector}"
        for operand in operands
    )
    return f"""
func.func @main({arguments}, %o: {buffer}) attributes {{llvm.emit_c_interface}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %z = arith.constant 0.0 : {type_}
  %n = memref.dim %o, %c0 : {buffer}
  scf.for %i = %c0 to %n step %c1 {{
    {loads}
    %r = math.{name} {", ".join(f"%v{operand}" for operand in operands)} : {vector}
    vector.transfer_write %r, %o{place} {{in_bounds = [true, true]}} : {vector}, {buffer}
  }}
  return
}}"""


def run_both(name, type_, *inputs):
    """The results of the scalar loop, after checking that vectors give the same bits."""
    scalar = Native(loop(name, type_), passes=("expand-math",))
    result = np.empty_like(inputs[0])
    assert scalar.call(*inputs, result)[0] == 0
    size = len(result) // 42 * 42
    shaped = [np.ascontiguousarray(array[:size].reshape(-1, 2, 21)) for array in inputs]
    again = np.empty_like(shaped[0])
    assert Native(vectors(name, type_), passes=("expand-math",)).call(*shaped, again)[0] == 0
    same_nan = np.isnan(again.reshape(-1)) & np.isnan(result[:size])
    bits = np.dtype(f"u{result.itemsize}")
    np.testing.assert_array_equal(
        np.where(same_nan, 0, again.reshape(-1).view(bits)), np.where(same_nan, 0, result[:size].view(bits))
    )
    return result


CASES = [
    (name.removeprefix("math."), type_)
    for name, rule in RULES.items()
    for type_ in FORMATS
    if FORMATS[type_] in rule.accuracy
]


@long_double
@pytest.mark.parametrize(("name", "type_"), CASES)
def test_accuracy_and_special_values(name, type_):
    dtype = DTYPES[type_]
    inputs = arguments_of(name, dtype)
    result = run_both(name, type_, *inputs)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](*(array.astype(np.longdouble) for array in inputs)).astype(np.longdouble)
    error = errors(result, exact, dtype)
    worst = int(np.argmax(error))
    place = ", ".join(repr(array[worst]) for array in inputs)
    assert error[worst] <= RULES[f"math.{name}"].accuracy[FORMATS[type_]], f"{name}({place}) = {result[worst]!r}"
    signed = ~np.isnan(result)
    np.testing.assert_array_equal(np.signbit(result[signed]), np.signbit(exact[signed]))


def test_every_rule_has_a_reference():
    assert {name.removeprefix("math.") for name in RULES} == set(REFERENCES)


def test_erf_is_accurate_absolutely_and_near_zero():
    x = np.concatenate([np.linspace(-5, 5, 20000), 10.0 ** np.linspace(-40, 0, 4000)]).astype(np.float32)
    result = run_both("erf", "f32", x)
    exact = np.vectorize(math.erf)(x.astype(np.float64))
    assert abs(result - exact).max() <= 1e-7
    assert abs(result).max() <= 1
    normal = abs(x) > 1e-37
    assert (abs(result - exact)[normal] / abs(exact[normal])).max() <= 1.5e-7


def test_results_may_be_subnormal():
    x = np.linspace(-103.9, -87.4, 2000).astype(np.float32)
    result = run_both("exp", "f32", x)
    exact = np.exp(x.astype(np.float64))
    assert 0 < result.min() < 1e-44
    assert (abs(result - exact) <= 0.51 * np.finfo(np.float32).smallest_subnormal + 1.5e-7 * exact).all()


@pytest.mark.skipif(HOST_BITS < 512, reason="this CPU has no vectors of 512 bits")
def test_weights_of_a_softmax():
    """What is never above 0, by the short formula: 0 and 1 exact, NaN kept, subnormal results too."""
    text = """
    builtin.module attributes {lamina.target = {features = "+avx512f", vector_bits = 512 : i64}} {
      func.func @main(%x: memref<?x32xf32>, %y: memref<?x32xf32>) attributes {llvm.emit_c_interface} {
        %c0 = arith.constant 0 : index
        %c1 = arith.constant 1 : index
        %z = arith.constant 0.0 : f32
        %n = memref.dim %x, %c0 : memref<?x32xf32>
        scf.for %i = %c0 to %n step %c1 {
          %v = vector.transfer_read %x[%i, %c0], %z {in_bounds = [true]} : memref<?x32xf32>, vector<32xf32>
          %r = math.exp %v {lamina.non_positive} : vector<32xf32>
          vector.transfer_write %r, %y[%i, %c0] {in_bounds = [true]} : vector<32xf32>, memref<?x32xf32>
        }
        return
      }
    }"""
    generator = np.random.default_rng(0)
    uniform = [generator.uniform(-size, 0, 32000) for size in (0.5, 2, 20, 87)]
    x = np.concatenate([[0.0, -0.0, -np.inf, np.nan, -1e30, -150.0, -1e-45, -103.0], *uniform, np.zeros(24)])
    x = x.astype(np.float32).reshape(-1, 32)
    result = np.empty_like(x)
    assert Native(text, passes=("expand-math",)).call(x, result)[0] == 0
    exact = np.exp(x.astype(np.float64))
    np.testing.assert_array_equal(result[0, :6], np.array([1, 1, 0, np.nan, 0, 0], np.float32))
    normal = (exact > 1.2e-38) & ~np.isnan(exact)
    units = abs(result - exact)[normal] / np.spacing(exact[normal].astype(np.float32))
    assert units[x[normal] > -20].max() <= 2.6
    assert units.max() <= 5
    assert (result[x == 0] == 1).all()
    assert result[0, 7] == np.float32(exact[0, 7])


@long_double
@pytest.mark.skipif(HOST_BITS < 512, reason="this CPU has no vectors of 512 bits")
@pytest.mark.parametrize("name", [name.removeprefix("math.") for name in WIDE_RULES])
def test_tables_are_as_accurate_as_they_say(name):
    """The formulas that look coefficients up, over all magnitudes and the special values."""
    text = f"""
    builtin.module attributes {{lamina.target = {{features = "+avx512f", vector_bits = 512 : i64}}}} {{
      func.func @main(%x: memref<?x32xf32>, %y: memref<?x32xf32>) attributes {{llvm.emit_c_interface}} {{
        %c0 = arith.constant 0 : index
        %c1 = arith.constant 1 : index
        %z = arith.constant 0.0 : f32
        %n = memref.dim %x, %c0 : memref<?x32xf32>
        scf.for %i = %c0 to %n step %c1 {{
          %v = vector.transfer_read %x[%i, %c0], %z {{in_bounds = [true]}} : memref<?x32xf32>, vector<32xf32>
          %r = math.{name} %v : vector<32xf32>
          vector.transfer_write %r, %y[%i, %c0] {{in_bounds = [true]}} : vector<32xf32>, memref<?x32xf32>
        }}
        return
      }}
    }}"""
    (x,) = arguments_of(name, np.float32)
    dense = [np.linspace(low, high, 40000) for low, high in ((-1, 1), (-10, 10), (-104, 90))]
    x = np.concatenate([x, *dense]).astype(np.float32)
    x = x[: len(x) // 32 * 32].reshape(-1, 32)
    native = Native(text, passes=("expand-math",))
    assert "llvm.x86.avx512" in native.program.modules[0].text
    result = np.empty_like(x)
    assert native.call(x, result)[0] == 0
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](x.astype(np.longdouble)).astype(np.longdouble)
    error = errors(result, exact, np.float32)
    worst = np.unravel_index(np.argmax(error), error.shape)
    assert error[worst] <= WIDE_RULES[f"math.{name}"].accuracy[f32], f"{name}({x[worst]!r}) = {result[worst]!r}"
    signed = ~np.isnan(result)
    np.testing.assert_array_equal(np.signbit(result[signed]), np.signbit(exact[signed]))
    assert abs(result[np.isfinite(result)]).max() <= 1 or name == "exp"


@pytest.mark.parametrize("type_", ["f16", "bf16"])
@pytest.mark.parametrize("name", ["exp", "tanh", "erf", "log", "sin", "powf"])
def test_small_floats_are_computed_in_single_precision(name, type_):
    dtype = DTYPES[type_]
    inputs = [array.astype(dtype) for array in arguments_of(name, np.float32)]
    native = Native(loop(name, type_), passes=("expand-math",))
    result = np.empty_like(inputs[0])
    assert native.call(*inputs, result)[0] == 0
    wide = [array.astype(np.float32) for array in inputs]
    single = np.empty_like(wide[0])
    assert Native(loop(name, "f32"), passes=("expand-math",)).call(*wide, single)[0] == 0
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(result.astype(np.float32), single.astype(dtype).astype(np.float32))


def test_two_over_pi_is_cut_into_exact_pieces():
    """The pieces add up to 2/π to 203 bits, and each times an f32 fits into an f64."""
    # π to 75 digits (OEIS A000796).
    digits = "314159265358979323846264338327950288419716939937510582097494459230781640628"
    two_over_pi = Fraction(2) / Fraction(int(digits), 10**74)
    total = sum(map(Fraction, trigonometric.TWO_OVER_PI))
    assert 0 <= two_over_pi - total < Fraction(1, 2**202)
    for piece in trigonometric.TWO_OVER_PI:
        numerator = Fraction(piece).numerator
        assert (numerator // (numerator & -numerator)).bit_length() <= 29


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erf", "sin", "cos", "powf", "rsqrt"])
def test_loops_are_vectorized(name):
    """LLVM turns the scalar loop into vectors: nothing is left that it could not vectorize, nothing is called."""
    import llvmlite.binding as llvm

    native = Native(loop(name, "f32"), passes=("expand-math",))
    assert native.program.externals == ()
    (module,) = native.program.modules
    assert module.optimize
    machine = llvm.Target.from_default_triple().create_target_machine(cpu="x86-64-v3", opt=2)
    parsed = llvm.parse_assembly(module.text)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    builder.getModulePassManager().run(parsed, builder)
    assert re.search(r"store <\d+ x float>", str(parsed))
    assert not re.search(r"\bcallq?\b", machine.emit_assembly(parsed))


def test_what_has_no_rule_in_a_format_stays():
    module, context = parse(loop("erf", "f64"))
    pipelines.run_passes(module, context, ("expand-math",))
    assert "math.erf" in str(module)
    assert Native(loop("erf", "f64"), passes=("expand-math",)).program.externals == ("erf",)


def test_new_ops_have_the_location_of_the_old_one():
    module, context = parse(loop("exp", "f32"))
    (old,) = [op for op in module.walk() if op.name == "math.exp"]
    location = old.location
    before = set(module.walk())
    pipelines.run_passes(module, context, ("expand-math",))
    added = [op for op in module.walk() if op not in before and op.name != "arith.constant"]
    assert added
    assert all(op.location == location for op in added)


@pytest.mark.skipif(MLIR_OPT is None, reason="mlir-opt is not installed")
@pytest.mark.parametrize(("name", "type_"), CASES)
def test_upstream_accepts_the_expansion(name, type_):
    for text in (loop(name, type_), vectors(name, type_)):
        module, context = parse(text)
        pipelines.run_passes(module, context, ("expand-math",))
        module.verify()
        assert accepted_upstream(str(module))
