"""NumPy's functions for traced functions: `import lamina.numpy as lnp`.

They are those of `lamina.ops` under NumPy's names and defaults, and so are operators, methods and indexing of traced
values. What differs from NumPy: two dtypes are never mixed silently, Python's floats are f32 by themselves, positions
outside are clamped, and elements are changed with `x.at[index].set(values)`, which gives a new tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.dialects.graph import types as _types
from lamina.frontends.python import numpy_arrays as _arrays
from lamina.frontends.python import numpy_functions as _functions
from lamina.frontends.python import numpy_linalg as _linalg
from lamina.frontends.python import numpy_statistics as _statistics
from lamina.frontends.python import ops as _ops
from lamina.frontends.python.tracer import Traced

# Names that `ops` has with NumPy's meaning.
_SAME = """
    abs sign exp expm1 log log1p sqrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh floor ceil
    round isnan isinf add subtract multiply divide power maximum minimum arctan2 fmod bitwise_and bitwise_or bitwise_xor
    left_shift right_shift equal not_equal less less_equal greater greater_equal floor_divide where clip
    reshape broadcast_to transpose swapaxes moveaxis expand_dims squeeze stack split flip ravel tile take_along_axis
    tril triu zeros ones full zeros_like ones_like eye
    sum max min any all mean var std matmul einsum sort argsort
    cond while_loop scan fori_loop dynamic_slice dynamic_update_slice conv
"""
# NumPy's name, and that of `ops`.
_RENAMED = {
    "absolute": "abs",
    "negative": "negative",
    "mod": "modulo",
    "remainder": "modulo",
    "true_divide": "divide",
    "rint": "round",
    "invert": "logical_not",
    "amax": "max",
    "amin": "min",
    "permute_dims": "transpose",
    "pow": "power",
}
# Functions made of several.
_COMPOSED = """
    asarray full_like arange linspace meshgrid tri diag square reciprocal log2 log10 exp2 hypot trunc isfinite logaddexp
    deg2rad rad2deg heaviside logical_and logical_or logical_xor logical_not nan_to_num cumsum cumprod argmax argmin ptp
    count_nonzero average norm prod repeat roll take concatenate atleast_1d atleast_2d vstack hstack column_stack flipud
    fliplr pad diff dot tensordot outer inner vdot trace broadcast_arrays
"""
_ARRAYS = """
    positive signbit copysign cbrt float_power fmax fmin fabs sinc isposinf isneginf ldexp logaddexp2 gcd lcm divmod
    bitwise_not isclose allclose array_equal select isin empty empty_like identity logspace geomspace tril_indices
    triu_indices vander atleast_3d dstack matrix_transpose append array_split hsplit vsplit dsplit unstack rollaxis
    rot90 diagonal diagflat delete resize put_along_axis lexsort searchsorted digitize cross kron vecdot polyval ediff1d
    partition size shape ndim broadcast_shapes
"""
_STATISTICS = """
    nansum nanprod nanmax nanmin nanmean nanvar nanstd nanargmax nanargmin quantile percentile median bincount histogram
    cov corrcoef interp trapezoid gradient convolve correlate unwrap
"""

TABLE: dict[str, Any] = {
    **{name: getattr(_ops, name) for name in _SAME.split()},
    **{name: getattr(_ops, source) for name, source in _RENAMED.items()},
    **{name: getattr(_functions, name) for name in _COMPOSED.split()},
    **{name: getattr(_arrays, name) for name in _ARRAYS.split()},
    **{name: getattr(_statistics, name) for name in _STATISTICS.split()},
    "array": _functions.asarray,
    "concat": _functions.concatenate,
    "degrees": _functions.rad2deg,
    "radians": _functions.deg2rad,
}
"""Every function by its name in NumPy."""

CONSTANTS = {"pi": np.pi, "e": np.e, "inf": np.inf, "nan": np.nan, "newaxis": None}
DTYPES = {
    **{dtype.name: dtype.type for dtype in _types.DTYPES.values()},
    "bool_": np.bool_,
    "bfloat16": _types.BFLOAT16.type,
}


ndarray = Traced
linalg = _linalg


def __getattr__(name: str) -> Any:
    for table in (TABLE, CONSTANTS, DTYPES):
        if name in table:
            return table[name]
    raise AttributeError(
        f"lamina.numpy has no '{name}'; what traced functions can do is in lamina.numpy.TABLE and lamina.ops"
    )


def __dir__() -> list[str]:
    return sorted([*TABLE, *CONSTANTS, *DTYPES, "linalg", "ndarray"])
