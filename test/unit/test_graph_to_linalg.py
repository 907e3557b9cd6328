"""graph-to-linalg against the graph ops' references: MLIR's own lowering and LLVM run the tensor level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import (
    DictionaryAttr,
    IntegerAttr,
    ModuleOp,
    bf16,
    f16,
    f32,
    f64,
    i1,
    i8,
    i32,
    i64,
)
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.convolution import AxisOrder
from lamina.dialects.graph.types import ui8, ui16
from lamina.lowering.graph_to_linalg.graph_to_linalg import GraphToLinalgPass
from lamina.parser import parse_text
from lamina.passes.tensor.assign_schedules import AssignSchedulesPass
from linalg_testing import (
    MORE,
    A,
    Case,
    Compiled,
    check,
    compiled,
    context,
    convolution,
    gelu,
    heads,
    integers,
    kernel,
    layer_norm,
    matmul,
    softmax,
)
from support import upstream

pytestmark = pytest.mark.skipif(not upstream.is_available(), reason="MLIR's tools (mlir-22-tools) are not installed")

NHWC, HWIO = AxisOrder(0, 3, (1, 2)), AxisOrder(3, 2, (0, 1))

CASES: dict[str, Case] = {
    # data movement
    "transpose": Case((A(2, 3, "n"),), lambda b, x: b.transpose(x, [2, 0, 1]), stages=1),
    "broadcast": Case((A(3, 1, element_type=i32),), lambda b, x: b.broadcast(x, [2, 3, 4]), stages=1),
    "broadcasting": Case((A("n", 1, 4), A(3, 1), A()), lambda b, x, y, z: b.multiply(b.add(x, y), z), stages=1),
    "equal_symbols": Case((A("n", "m"), A("m")), lambda b, x, y: b.add(x, y), stages=1),
    "assumed_equal": Case((A("n", 3), A("same_as_n", 3)), lambda b, x, y: b.add(x, b.exp(y)), ulps=4, stages=1),
    "assumed_equal_static": Case(
        (A("n + 4", "p"), A(4, "p")), lambda b, x, y: b.add(b.slice(x, [0, 0], [4, 2**62]), y)
    ),
    "slice": Case((A(7, 9),), lambda b, x: b.slice(x, [1, -8], [7, -1], [2, 2]), stages=1),
    "slice_front": Case((A(7),), lambda b, x: b.slice(x, [0], [3]), stages=1),
    "slice_symbolic": Case((A("n", 9),), lambda b, x: b.slice(x, [-3, 1], [2**62, -1], [2, 1]), stages=1),
    "slice_of_transpose": Case(
        (A(4, "n"),), lambda b, x: b.slice(b.transpose(x, [1, 0]), [1, 0], [2**62, 3]), stages=1
    ),
    "reverse": Case((A("n", 5),), lambda b, x: b.reverse(x, [0, 1]), stages=1),
    "reverse_static": Case((A(4, 5),), lambda b, x: b.exp(b.reverse(x, [1])), stages=1, ulps=4),
    "reshape_split": Case((A("n", 12),), lambda b, x: b.negate(b.reshape(x, [-1, 3, 4])), stages=1),
    "reshape_merge": Case((A("n", 3, 4),), lambda b, x: b.negate(b.reshape(x, [-1, 12])), stages=1),
    "reshape_mixed": Case((A(4, 6),), lambda b, x: b.negate(b.reshape(x, [3, 8])), stages=1),
    "reshape_all": Case((A("n", 3, "m"),), lambda b, x: b.negate(b.reshape(x, [-1])), stages=1),
    "reshape_units": Case((A(1, "n", 1, 3),), lambda b, x: b.negate(b.reshape(x, [-1, 1, 3, 1])), stages=1),
    "split_transpose_merge": Case(
        (A(6, 8),), lambda b, x: b.reshape(b.transpose(b.reshape(x, [2, 3, 2, 4]), [0, 2, 1, 3]), [4, 12]), stages=1
    ),
    "pad": Case((A(3, 4),), lambda b, x: b.pad(b.exp(x), 7.0, [1, -1], [2, 3]), stages=1, ulps=4),
    "pad_symbolic": Case((A("n", 4),), lambda b, x: b.pad(x, -1.0, [1, 0], [0, 2]), stages=1),
    "pad_interior": Case((A("n", 4),), lambda b, x: b.pad(x, 0.5, [1, -1], [2, 1], [1, 2]), stages=1),
    "pad_edge": Case((A("p", 4),), lambda b, x: b.pad(x, 0.0, [2, 1], [1, 3], mode="edge"), stages=1),
    "pad_reflect": Case((A("p", 4),), lambda b, x: b.pad(x, 0.0, [5, 1], [7, 9], mode="reflect"), stages=1),
    "concatenate": Case((A(2, 3), A(2, 1), A(2, 0), A(2, 4)), lambda b, *x: b.concatenate(x, 1), stages=1),
    "concatenate_symbolic": Case(
        (A("n", 2), A("m", 2), A(1, 2)), lambda b, *x: b.concatenate([b.exp(x[0]), *x[1:]], 0), stages=1, ulps=4
    ),
    "concatenate_sum": Case((A("n"), A("m")), lambda b, *x: b.reduce("maximum", b.concatenate(x, 0), [0])),
    "take": Case((A(5, 4), integers(-2, 7, "n", 3)), lambda b, x, i: b.take(x, i, 0), stages=1),
    "take_inner": Case((A(2, 5, 3), integers(-2, 7, "n", element_type=i32)), lambda b, x, i: b.take(x, i, 1), stages=1),
    "take_unsigned": Case((A(5), integers(0, 255, "n", element_type=ui8)), lambda b, x, i: b.take(x, i, 0), stages=1),
    "take_symbolic": Case((A("p", 2), integers(-9, 9, "n")), lambda b, x, i: b.take(x, i, 0), stages=1),
    "take_negative": Case(
        (A(5, 4), integers(-5, 4, "n")),
        lambda b, x, i: b.take(x, b.select(b.compare("LT", i, 0), b.add(i, 5), i), 0),
        stages=1,
    ),
    "gather_points": Case(
        (A(4, 5), integers(-1, 6, "n", 2)),
        lambda b, x, i: b.gather(
            x, i, slice_sizes=[1, 1], collapsed_slice_dims=[0, 1], start_index_map=[1, 0], index_vector_dim=1
        ),
        stages=1,
    ),
    "gather_windows": Case(
        (A(6, 5), integers(-1, 6, 2, "n")),
        lambda b, x, i: b.gather(
            x, i, slice_sizes=[3, 2], offset_dims=[0, 2], start_index_map=[0, 1], index_vector_dim=0
        ),
        stages=1,
    ),
    "gather_batched": Case(
        (A(3, 4, 2), integers(-1, 5, 5, 3, 1)),
        lambda b, x, i: b.gather(
            x,
            i,
            slice_sizes=[1, 1, 2],
            offset_dims=[2],
            collapsed_slice_dims=[1],
            operand_batching_dims=[0],
            start_indices_batching_dims=[1],
            start_index_map=[1],
            index_vector_dim=2,
        ),
        stages=1,
    ),
    "dynamic_slice": Case(
        (A(9),),
        lambda b, x: b.dynamic_slice(
            x, b.constant(np.array([-4])), b.constant(np.array([99])), b.constant(np.array([2]))
        ),
        stages=1,
    ),
    "dynamic_update_slice": Case(
        (A(5, 6), A(2, 3), integers(-3, 9, 2)), lambda b, x, u, i: b.dynamic_update_slice(x, u, i), stages=1
    ),
    "dynamic_update_slice_symbolic": Case(
        (A("n + 1", 6), A(1, 6), integers(0, 3, 2)),
        lambda b, x, u, i: b.dynamic_update_slice(x, b.exp(u), i),
        ulps=4,
        stages=1,
    ),
    "iota": Case((A(3, 4),), lambda b, x: b.add(x, b.iota(f32, [3, 4], 1)), stages=1),
    "iota_u8": Case((A(300, element_type=ui8),), lambda b, x: b.add(x, b.iota(ui8, [300], 0)), stages=1),
    "dimension": Case((A("n", 3),), lambda b, x: b.add(x, b.cast(b.create("dimension", (x,), axis=0), f32)), stages=1),
    "table": Case((A("n", 3),), lambda b, x: b.add(x, b.constant(np.array([1, 2, 3], np.float32))), stages=1),
    # reductions
    **{
        f"reduce_{kind}_{element_type}": Case(
            (A("n", 3, "m", element_type=element_type),), lambda b, x, kind=kind: b.reduce(kind, x, [0, 2]), ulps=16
        )
        for kind in ("add", "multiply", "maximum", "minimum")
        for element_type in (f32, f64, f16, bf16, i32, ui8)
    },
    **{
        f"reduce_{kind}": Case(
            (A("n", 3, element_type=i1),), lambda b, x, kind=kind: b.reduce(kind, x, [0], keep_dimensions=True)
        )
        for kind in ("and", "or")
    },
    "reduce_exp": Case((A("n", 5),), lambda b, x: b.reduce("add", b.exp(x), [1]), ulps=8, stages=1),
    "reduce_to_scalar": Case((A("n", 5),), lambda b, x: b.exp(b.reduce("maximum", x, [0, 1])), ulps=4, stages=2),
    "reduce_broadcast": Case((A("n", 1),), lambda b, x: b.reduce("add", b.broadcast(x, [-1, 7]), [1]), ulps=8),
    "reduce_nan": Case((A("n", 5, special=True),), lambda b, x: b.reduce("maximum", x, [1])),
    **{
        f"arg_{kind}_{element_type}_{last}": Case(
            (A("n", 4, 2, element_type=element_type, special=True),),
            lambda b, x, kind=kind, last=last: b.create(
                "arg_reduce", (x,), kind=kind, dimension=1, keep_dimensions=last, select_last=last
            ),
            stages=1,
        )
        for kind in ("maximum", "minimum")
        for element_type in (f32, i8, ui16)
        for last in (True, False)
    },
    **{
        f"cumulative_{kind}_{exclusive}_{reverse}": Case(
            (A(3, "n", 2, element_type=element_type),),
            lambda b, x, kind=kind, e=exclusive, r=reverse: b.create(
                "cumulative", (x,), kind=kind, dimension=1, exclusive=e, reverse=r
            ),
            ulps=16,
        )
        for kind, element_type in (("add", f32), ("multiply", f16), ("maximum", i32))
        for exclusive in (True, False)
        for reverse in (True, False)
    },
    "max_pool": Case(
        (A(1, 2, 7, "n + 3"),),
        lambda b, x: b.create(
            "reduce_window",
            (x,),
            kind="maximum",
            window_dimensions=[1, 1, 3, 2],
            window_strides=[1, 1, 2, 1],
            window_dilations=[1, 1, 1, 2],
            padding=[0, 0, 0, 0, 1, 1, 0, 1],
        ),
        stages=2,
    ),
    "sum_pool": Case(
        (A(1, 4, 4, 3, element_type=f16),),
        lambda b, x: b.create(
            "reduce_window",
            (b.exp(x),),
            kind="add",
            window_dimensions=[1, 2, 2, 1],
            window_strides=[1, 2, 2, 1],
            window_dilations=[1, 1, 1, 1],
            padding=[0] * 8,
        ),
        ulps=2,
    ),
    # what transformers are made of
    "softmax": Case((A("n", 6),), softmax, ulps=16, stages=4),
    "layer_norm": Case((A("n", 16), A(16), A(16)), layer_norm, ulps=64),
    "matmul": Case((A("n", 5), A(5, 7)), matmul, ulps=16, stages=1),
    "matmul_static": Case((A(4, 5), A(5, 7)), matmul, ulps=16, stages=1),
    "matmul_bias_gelu": Case(
        (A("n", 5), A(5, 7), A(7)), lambda b, x, w, c: gelu(b, b.add(matmul(b, x, w), c)), ulps=32, stages=2
    ),
    "matmul_residual": Case(
        (A("n", 5), A(5, 7), A("n", 7)), lambda b, x, w, r: b.add(r, matmul(b, x, w)), ulps=32, stages=2
    ),
    "matmul_transposed": Case(
        (A("n", 5), A(7, 5)), lambda b, x, w: matmul(b, x, b.transpose(w, [1, 0])), ulps=16, stages=2
    ),
    "matmul_to_transposed": Case(
        (A("n", 5), A(5, 7)), lambda b, x, w: b.transpose(matmul(b, x, w), [1, 0]), ulps=16, stages=2
    ),
    "matmul_epilogue_transposed": Case(
        (A("n", 5), A(5, 7), A(7)),
        lambda b, x, w, c: b.transpose(b.tanh(b.add(matmul(b, x, w), c)), [1, 0]),
        ulps=32,
        stages=2,
    ),
    "matmul_of_exp": Case((A("n", 5), A(5, 7)), lambda b, x, w: matmul(b, b.exp(x), w), ulps=16, stages=2),
    "matmul_of_slice": Case(
        (A("n", 10), A(5, 7)), lambda b, x, w: matmul(b, b.slice(x, [0, 5], [2**62, 10]), w), ulps=16, stages=1
    ),
    "matmul_of_front": Case(
        (A("n", 10), A(5, 7)), lambda b, x, w: matmul(b, b.slice(x, [0, 0], [2**62, 5]), w), ulps=16, stages=2
    ),
    "matmul_of_constant": Case(
        (A("n", 3),), lambda b, x: matmul(b, x, b.constant(np.ones((3, 2), np.float32))), ulps=16
    ),
    "matmul_softmax": Case((A("n", 5), A(5, 7)), lambda b, x, w: softmax(b, b.multiply(matmul(b, x, w), 0.5)), ulps=64),
    "matmul_two": Case(
        (A("n", 5), A(5, 4), A(5, 4)),
        lambda b, x, w, v: b.multiply(matmul(b, x, w), b.logistic(matmul(b, x, v))),
        ulps=32,
        stages=3,
    ),
    "matmul_used_twice": Case(
        (A("n", 5), A(5, 4)), lambda b, x, w: (lambda p: [p, b.exp(p)])(matmul(b, x, w)), ulps=64, stages=2
    ),
    "matmul_f16": Case(
        (A("n", 5, element_type=f16), A(5, 7, element_type=f16), A(7, element_type=f16)),
        lambda b, x, w, c: b.add(matmul(b, x, w), c),
        ulps=2,
        stages=2,
    ),
    "matmul_bf16_into_f32": Case(
        (A("n", 5, element_type=bf16), A(5, 7, element_type=bf16)),
        lambda b, x, w: b.create(
            "dot_general",
            (x, w),
            lhs_contracting_dimensions=[1],
            rhs_contracting_dimensions=[0],
            lhs_batching_dimensions=[],
            rhs_batching_dimensions=[],
            element_type=f32,
        ),
        ulps=16,
        stages=1,
    ),
    "matmul_u8_i8": Case(
        (A("n", 5, element_type=ui8), A(5, 7, element_type=i8)),
        lambda b, x, w: b.create(
            "dot_general",
            (x, w),
            lhs_contracting_dimensions=[1],
            rhs_contracting_dimensions=[0],
            lhs_batching_dimensions=[],
            rhs_batching_dimensions=[],
            element_type=i32,
        ),
        stages=1,
    ),
    "matmul_empty": Case((A("n", 0), A(0, 3)), matmul),
    "batch_matmul": Case((A("n", 2, 3, 4), A("n", 2, 4, 5)), matmul, ulps=16, stages=1),
    "attention_scores": Case(
        (A("3*n", 8), A("3*n", 8)),
        lambda b, q, k: b.multiply(matmul(b, heads(b, q), b.transpose(heads(b, k), [0, 1, 3, 2])), 0.5),
        ulps=32,
        stages=3,
    ),
    "multiply_outer": Case(
        (A("n"), A("m")),
        lambda b, x, y: b.create(
            "dot_general",
            (x, y),
            lhs_contracting_dimensions=[],
            rhs_contracting_dimensions=[],
            lhs_batching_dimensions=[],
            rhs_batching_dimensions=[],
        ),
        ulps=1,
    ),
    "dot_product": Case(
        (A("n"), A("n")),
        lambda b, x, y: b.create(
            "dot_general",
            (x, y),
            lhs_contracting_dimensions=[0],
            rhs_contracting_dimensions=[0],
            lhs_batching_dimensions=[],
            rhs_batching_dimensions=[],
        ),
        ulps=64,
    ),
    # convolutions
    "convolution": Case(
        (A("n", 3, 5, 6), A(4, 3, 3, 2)), lambda b, x, w: convolution(b, x, w, window_strides=[2, 1]), ulps=32, stages=1
    ),
    "convolution_bias_relu": Case(
        (A("n", 5, 6, 3), A(3, 3, 3, 4), A(4)),
        lambda b, x, w, c: b.maximum(
            b.add(
                convolution(
                    b,
                    x,
                    w,
                    window_strides=[1, 1],
                    padding=[1, 1, 1, 1],
                    input_order=NHWC,
                    kernel_order=HWIO,
                    output_order=NHWC,
                ),
                c,
            ),
            0.0,
        ),
        ulps=32,
        stages=3,
    ),
    "convolution_dilated": Case(
        (A(1, 2, 9), A(3, 2, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[2], padding=[1, 2], rhs_dilation=[2]),
        ulps=32,
        stages=2,
    ),
    "convolution_transposed": Case(
        (A(1, 2, 5), A(3, 2, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], padding=[1, 2], lhs_dilation=[2]),
        ulps=32,
        stages=2,
    ),
    "convolution_grouped": Case(
        (A(2, 4, 5), A(6, 2, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], feature_group_count=2),
        ulps=32,
        stages=1,
    ),
    "convolution_depthwise": Case(
        (A(2, 4, 5), A(4, 1, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], feature_group_count=4),
        ulps=32,
        stages=1,
    ),
    "convolution_group_of_two": Case(
        (A(2, 6, 5), A(3, 2, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], feature_group_count=3),
        ulps=32,
        stages=1,
    ),
    "convolution_f16": Case(
        (A(2, 3, 5, element_type=f16), A(4, 3, 3, element_type=f16)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], padding=[1, 1]),
        ulps=2,
    ),
    "convolution_3d": Case(
        (A(1, 2, 3, 4, 3), A(2, 2, 2, 2, 2)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1, 1, 1]),
        ulps=32,
        stages=1,
    ),
    # several results, results that are arguments, nothing to compute
    "two_results": Case((A("n"),), lambda b, x: [b.exp(x), b.negate(x)], ulps=4, stages=2),
    "same_result_twice": Case((A("n"),), lambda b, x: (lambda y: [y, y])(b.exp(x)), ulps=4, stages=2),
    "argument_as_result": Case((A("n"),), lambda b, x: [x, b.negate(x)], stages=2),
    "empty": Case((A(0, 3),), lambda b, x: b.exp(x), stages=0),
    "scalar": Case((A(),), lambda b, x: b.exp(x), ulps=4, stages=1),
    "expensive_twice": Case(
        (A("n", 4), A(4)),
        lambda b, x, y: b.multiply(b.exp(y), b.add(x, b.reduce("add", b.exp(x), [1], keep_dimensions=True))),
        ulps=16,
        stages=3,
    ),
}


@cache
def case_library() -> Compiled:
    return compiled(str(ModuleOp([case.function(name) for name, case in CASES.items()])))


@pytest.mark.parametrize("name", CASES)
def test_kernel(name: str):
    case, library = CASES[name], case_library()
    generics = [op for op in library.functions[name].walk() if op.name == "linalg.generic"]
    if case.stages is not None:
        assert len(generics) == case.stages, str(library.functions[name])

    @MORE
    @given(st.data())
    def run(data: st.DataObject) -> None:
        n = data.draw(st.integers(0, 5))
        sizes = {
            "n": n,
            "same_as_n": n,
            "m": data.draw(st.integers(0, 4)),
            "p": data.draw(st.integers(1, 5)),
        }
        inputs = [argument.draw(data, sizes) for argument in case.arguments]
        check(library, name, inputs, ulps=case.ulps, cancels=True)

    run()


# ---- functions that call kernels

FORM_KERNELS = ("infer-types", "form-kernels", "decompose", "share-kernels")


def branch(b: GraphBuilder, x: SSAValue) -> SSAValue:
    positive = b.compare("GT", b.reduce("add", x, [0]), 0.0)
    return b.if_(positive, lambda: [b.exp(x)], lambda: [b.negate(x)])[0]


def loop(b: GraphBuilder, x: SSAValue, count: SSAValue) -> Sequence[SSAValue]:
    return b.while_(
        [b.constant(0), x],
        lambda values: [b.compare("LT", values[0], count)],
        lambda values: [b.add(values[0], 1), b.multiply(values[1], 1.5)],
    )


CALLERS: dict[str, Case] = {
    "views": Case(
        (A("n", 6), A(8, 3)),
        lambda b, x, w: b.reshape(matmul(b, b.dynamic_reshape(x, b.constant(np.array([-1, 8]))), w), [-1]),
        ulps=16,
    ),
    "shape_arithmetic": Case(
        (A("n", 2, 3), A(3, 4)),
        lambda b, x, w: (
            lambda shape: b.dynamic_reshape(
                matmul(b, b.reshape(x, [-1, 3]), w),
                b.concatenate([b.slice(shape, [0], [2]), b.constant(np.array([4]))], 0),
            )
        )(b.create("shape_of", (x,))),
        ulps=16,
    ),
    "shape_as_result": Case(
        (A("n", "m"),), lambda b, x: [b.create("shape_of", (x,)), b.create("dimension", (x,), axis=1)]
    ),
    "slice_by_shape": Case(
        (A("n + 1"), A("n")),
        lambda b, x, y: b.add(
            y,
            b.dynamic_slice(
                x, b.constant(np.array([1])), b.add(b.create("shape_of", (y,)), 1), b.constant(np.array([1]))
            ),
        ),
    ),
    "constants": Case(
        (A("n", 3),),
        lambda b, x: [b.add(x, b.constant(np.arange(3, dtype=np.float32))), b.constant(np.array([True, False]))],
    ),
    "unsigned": Case((A("n", element_type=ui8),), lambda b, x: b.add(x, b.constant(np.uint8(250)))),
    "branch": Case((A("n"),), branch, ulps=4),
    "loop": Case((A("n"), integers(0, 5)), loop),
    "data_as_start": Case(
        (A("n + 4", 2), integers(0, 9, 2)),
        lambda b, x, i: b.dynamic_update_slice(x, b.constant(np.ones((1, 1), np.float32)), i),
    ),
    "scalar_view": Case((A(1, 1),), lambda b, x: b.exp(b.reshape(x, [])), ulps=4),
    "view_of_scalar": Case((A(),), lambda b, x: b.exp(b.reshape(x, [1, 1])), ulps=4),
    "view_as_result": Case((A("n", 2),), lambda b, x: b.reshape(b.exp(x), [-1]), ulps=4),
    "argument_as_result": Case((A("n", 2),), lambda b, x: x),
    "empty_axis": Case((A("n", 0),), lambda b, x: b.exp(x)),
}


@cache
def caller_library() -> Compiled:
    cases = [replace(case, kernel=False).function(name) for name, case in CALLERS.items()]
    return Compiled(str(ModuleOp(cases)), FORM_KERNELS)


@pytest.mark.parametrize("name", CALLERS)
def test_caller(name: str):
    case, library = CALLERS[name], caller_library()

    @MORE
    @given(st.data())
    def run(data: st.DataObject) -> None:
        sizes = {"n": 4 * data.draw(st.integers(0, 3)), "m": data.draw(st.integers(0, 4))}
        check(library, name, [argument.draw(data, sizes) for argument in case.arguments], ulps=case.ulps, cancels=True)

    run()


@cache
def inline_library() -> Compiled:
    return Compiled(str(ModuleOp([replace(case, kernel=False).function(name) for name, case in CASES.items()])))


@pytest.mark.parametrize("name", CASES)
def test_ops_outside_kernels(name: str):
    """Without kernels every op is lowered where it stands."""
    case, library = CASES[name], inline_library()

    @settings(MORE, max_examples=5)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        n = data.draw(st.integers(0, 5))
        sizes = {
            "n": n,
            "same_as_n": n,
            "m": data.draw(st.integers(2, 4)),
            "p": data.draw(st.integers(1, 5)),
        }
        inputs = [argument.draw(data, sizes) for argument in case.arguments]
        check(library, name, inputs, ulps=4 * case.ulps, cancels=True)

    run()


# ---- what holds of every module


def test_text_round_trips_through_mlir():
    for library in (case_library(), caller_library()):
        upstream.pipe(upstream.MLIR_OPT, ("--verify-roundtrip",), library.text)


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_schedules_fit_and_are_accepted(bits: int):
    """Every generic has a schedule of its own axes; accumulators, columns and a broadcast fit the registers."""
    ctx = context()
    module = parse_text(ctx, case_library().text, "test.mlir")
    module.attributes["lamina.target"] = DictionaryAttr({"vector_bits": IntegerAttr(bits, i64)})
    AssignSchedulesPass().apply(ctx, module)
    module.verify()
    upstream.assert_accepted(str(module))
    registers = 31 if bits == 512 else 15
    contractions = 0
    for op in module.walk():
        if op.name != "linalg.generic":
            continue
        names = [name.data for name in op.attributes["lamina.axes"]]
        schedule = op.attributes["lamina.schedule"].data
        parallel = [name.data for name in schedule["parallel"]]
        kinds = {name: kind.data.value for name, kind in zip(names, op.iterator_types, strict=True)}
        assert all(kinds[name] == "parallel" for name in parallel)
        if schedule["kind"].data == "rows":
            assert names[: len(parallel)] == parallel
            continue
        contractions += 1
        row, column = schedule["row"].data, schedule["column"].data
        tile = {name: size.value.data for name, size in schedule["tile"].data.items()}
        lanes = bits // (64 if op.body.block.args[-1].type == f64 else 32)
        vectors = tile[column] // lanes
        assert tile[column] % lanes == 0
        assert tile[row] * vectors + vectors + 1 <= registers
        assert schedule["block"].data[row].value.data % tile[row] == 0
    assert contractions >= 10


def test_op_without_lowering_is_an_error():
    text = kernel(
        "k", "%x: tensor<2x3xf32>", "tensor<2x3xf32>", "%y = graph.softmax %x, 1 : tensor<2x3xf32> -> tensor<2x3xf32>"
    )
    ctx = context()
    module = parse_text(ctx, text, "model.mlir")
    with pytest.raises(LaminaError, match=r"model.mlir:2:\d+: no lowering to linalg for 'graph.softmax'"):
        GraphToLinalgPass().apply(ctx, module)
