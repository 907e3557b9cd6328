"""Functions of floats beside 80-bit arithmetic: references, arguments worth a look, errors in units in the last place."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import f32, f64

DTYPES = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
FORMATS = {"f32": f32, "f64": f64}
BINARY = ("powf", "atan2")
REFERENCES = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "atanh": np.arctanh,
    "cbrt": np.cbrt,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": lambda x: np.vectorize(math.erf)(x.astype(np.float64)),
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "powf": np.power,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sin": np.sin,
    "sinh": np.sinh,
    "tan": np.tan,
    "tanh": np.tanh,
}
"""In NumPy's long double (C's functions with 64 bits of fraction), which is exact enough to measure an f64 by."""


long_double = pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no 80-bit long double here")


def loop(name, type_):
    """`name` over all elements of buffers, as scalars."""
    operands = ["x", "y"][: 2 if name in BINARY else 1]
    arguments = ", ".join(f"%{operand}: memref<?x{type_}>" for operand in operands)
    loads = "\n".join(f"%v{operand} = memref.load %{operand}[%i] : memref<?x{type_}>" for operand in operands)
    return f"""
func.func @main({arguments}, %o: memref<?x{type_}>) attributes {{llvm.emit_c_interface}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %o, %c0 : memref<?x{type_}>
  scf.for %i = %c0 to %n step %c1 {{
    {loads}
    %r = math.{name} {", ".join(f"%v{operand}" for operand in operands)} : {type_}
    memref.store %r, %o[%i] : memref<?x{type_}>
  }}
  return
}}"""


SPECIALS = [
    *(0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 2.5, -2.5, 1e-45, -1e-45),
    *(1e-40, 1.17549435e-38, 3.4e38, -3.4e38, 16777217.0, -16777215.0, 88.7, 88.73, -87.4, -103.0, -104.0, 1e-20),
]


def arguments_of(name, dtype):
    """Special values, all magnitudes, and what lies near 1."""
    generator = np.random.default_rng(0)
    uniform = [generator.uniform(-size, size, 8000) for size in (1, 10, 100, 1000)]
    magnitudes = 10 ** generator.uniform(-12, 3, 8000) * generator.choice([-1, 1], 8000)
    near_one = 1 + generator.uniform(-1e-3, 1e-3, 4000)
    with np.errstate(over="ignore", invalid="ignore"):
        bits = generator.integers(0, 2**32, 16000, np.uint32).view(np.float32)
        x = np.concatenate([SPECIALS, *uniform, magnitudes, near_one, bits]).astype(dtype)
    if name not in BINARY:
        return (x,)
    a, b = (part.ravel() for part in np.meshgrid(np.array(SPECIALS, dtype), np.array(SPECIALS, dtype)))
    positive = generator.uniform(0, 5, 8000).astype(dtype)
    power = generator.uniform(-60, 60, 8000).astype(dtype)
    return np.concatenate([a, x, positive]), np.concatenate([b, generator.permutation(x), power])


def errors(result, exact, dtype):
    """The error of each element in units of the last place of the exact value; infinite for a wrong special value."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        place = np.maximum(np.spacing(abs(rounded)), np.finfo(dtype).smallest_subnormal).astype(np.longdouble)
        error = abs(result.astype(np.longdouble) - exact) / place
    right = (result == rounded) | (np.isnan(result) & np.isnan(rounded))
    return np.where(right, 0, np.where(np.isfinite(error), error, np.inf))
