"""The graph-level passes: what each one does, and that results stay the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, NameLoc, NoneAttr, StringAttr, f16, f32, i1, i64
from xdsl.passes import ModulePass
from xdsl.transforms.common_subexpression_elimination import CommonSubexpressionElimination
from xdsl.transforms.dead_code_elimination import DeadCodeElimination

from graph_models import context, encoder, encoder_inputs, module_of, normal, parse, residual_net
from lamina.context import LaminaContext, resources_of
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.convolution import ConvolutionOp, axis_order
from lamina.passes.graph.assign_layouts import AssignLayoutsPass
from lamina.passes.graph.canonicalize import CanonicalizePass
from lamina.passes.graph.decompose import DecomposePass
from lamina.passes.graph.fold_constants import FoldConstantsPass
from lamina.passes.graph.infer_types import InferTypesPass
from lamina.passes.graph.prepare_contractions import PrepareContractionsPass
from lamina.passes.graph.resolve_shapes import ResolveShapesPass
from lamina.passes.graph.simplify_batch_norms import SimplifyBatchNormsPass
from lamina.targets.reference.evaluate import evaluate
from random_graphs import inputs_for, programs

EXACT = (
    InferTypesPass(),
    CanonicalizePass(),
    FoldConstantsPass(),
    ResolveShapesPass(),
    CommonSubexpressionElimination(),
    DeadCodeElimination(),
)
ROUNDING = (DecomposePass(), PrepareContractionsPass(), AssignLayoutsPass(), SimplifyBatchNormsPass())


def run(module: ModuleOp, ctx: Context, *passes: ModulePass) -> ModuleOp:
    for each in passes:
        each.apply(ctx, module)
        module.verify()
    return module


def names(module: ModuleOp) -> list[str]:
    """The graph ops in order, constants left out."""
    return [
        op.name.removeprefix("graph.")
        for op in module.walk()
        if isinstance(op, GraphOp) and op.name != "graph.constant"
    ]


def results_of(module: ModuleOp, inputs: list[np.ndarray], ctx: LaminaContext) -> tuple[np.ndarray, ...]:
    return evaluate(module, inputs, ctx.resources)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(0, 4))
def test_results_stay_the_same(program, size: int) -> None:
    inputs = inputs_for(size)
    ctx = context()
    module = program(ctx)
    expected = results_of(module, inputs, ctx)
    for each in (*EXACT, *ROUNDING, *EXACT):
        run(module, ctx, each)
        for result, reference in zip(results_of(module, inputs, ctx), expected, strict=True):
            np.testing.assert_allclose(result, reference, rtol=2e-5, atol=2e-6, err_msg=each.name)


@pytest.mark.parametrize("each", EXACT, ids=lambda each: each.name)
def test_exact_passes_on_an_encoder(each: ModulePass) -> None:
    ctx = context()
    module = encoder(ctx, layers=1)
    inputs = encoder_inputs(2, 5)
    (expected,) = results_of(module, inputs, ctx)
    run(module, ctx, each)
    np.testing.assert_array_equal(results_of(module, inputs, ctx)[0], expected)
    before = str(module)
    run(module, ctx, each)
    assert str(module) == before, "a second run changes something"


# ---- infer-types


def test_infer_types_refines_and_names_results() -> None:
    ctx = context()
    module = run(
        parse(
            """
            func.func @main(%x: tensor<?x4xf32> {lamina.dims = ["n", "4"]}) -> (tensor<?x?xf32> {lamina.name = "y"}) {
              %y = graph.exp %x : tensor<?x4xf32> -> tensor<?x?xf32>
              %z = graph.concatenate %y, %y dimension 0 : tensor<?x?xf32>, tensor<?x?xf32> -> tensor<?x?xf32>
              func.return %z : tensor<?x?xf32>
            }
            """
        ),
        ctx,
        InferTypesPass(),
    )
    assert '-> (tensor<?x4xf32> {lamina.name = "y", lamina.dims = ["2*n", "4"]})' in str(module)
    assert "graph.exp %x : tensor<?x4xf32>\n" in str(module)


def test_infer_types_keeps_both_sides_of_a_call() -> None:
    text = """
        func.func @main(%x: tensor<4xf32>) -> tensor<?xf32> {
          %y = graph.exp %x : tensor<4xf32> -> tensor<?xf32>
          %z = func.call @other(%y) : (tensor<?xf32>) -> tensor<?xf32>
          func.return %z : tensor<?xf32>
        }
        func.func private @other(%x: tensor<?xf32>) -> tensor<?xf32> {
          %y = graph.exp %x : tensor<?xf32>
          func.return %y : tensor<?xf32>
        }
        """
    module = run(parse(text), context(), InferTypesPass())
    x = np.ones(4, np.float32)
    np.testing.assert_allclose(evaluate(module, [x])[0], np.exp(np.exp(x)), rtol=1e-6)


def test_infer_types_in_loops() -> None:
    ctx = context()

    def build(b, x, count):
        return b.while_(
            [b.constant(np.int64(0)), x],
            lambda values: [b.compare("LT", values[0], count)],
            lambda values: [b.add(values[0], 1), b.negate(values[1])],
        )[1:]

    module = run(module_of(ctx, [([3], f32), ([], i64)], build), ctx, InferTypesPass())
    np.testing.assert_array_equal(
        results_of(module, [np.arange(3, dtype=np.float32), np.int64(3)], ctx)[0], [0, -1, -2]
    )


# ---- fold-constants


def test_fold_computes_what_is_constant() -> None:
    ctx = context()

    def build(b, x):
        weight = b.constant(np.arange(12, dtype=np.float32).reshape(4, 3))
        return [b.add(x, b.multiply(b.transpose(weight, (1, 0)), 2.0))]

    module = module_of(ctx, [([3, 4], f32)], build)
    for op in module.walk():
        op.location = NameLoc(StringAttr(op.name), NoneAttr())
    x = normal(np.random.default_rng(0), 3, 4)
    (expected,) = results_of(module, [x], ctx)
    run(module, ctx, FoldConstantsPass())
    assert names(module) == ["add"]
    np.testing.assert_array_equal(results_of(module, [x], ctx)[0], expected)
    (constant,) = [op for op in module.walk() if op.name == "graph.constant"]
    assert constant.location == NameLoc(StringAttr("graph.multiply"), NoneAttr())


def test_fold_is_bounded() -> None:
    """Large results are computed only by moving data; growth by more than 8 is left to the run."""
    ctx = context()
    rng = np.random.default_rng(0)

    def build(b):
        large = b.constant(normal(rng, 1024, 512))
        small = b.constant(normal(rng, 512))
        return [b.negate(large), b.transpose(large, (1, 0)), b.broadcast(small, (64, -1)), b.negate(small)]

    module = run(module_of(ctx, [], build), ctx, FoldConstantsPass())
    assert names(module) == ["negate", "broadcast"]


def test_fold_without_the_store_leaves_constants_alone() -> None:
    ctx = context()
    module = module_of(ctx, [], lambda b: [b.negate(b.constant(normal(np.random.default_rng(0), 100)))])
    run(module, context(), FoldConstantsPass())
    assert names(module) == ["negate"]


def test_fold_known_sizes() -> None:
    ctx = context()

    def build(b, x):
        sizes = b.create("shape_of", (x,))
        return [b.dynamic_reshape(x, b.reverse(sizes, (0,)))]

    module = run(module_of(ctx, [([3, 4], f32)], build), ctx, FoldConstantsPass(), ResolveShapesPass())
    assert names(module) == ["reshape"]


def test_fold_special_values() -> None:
    ctx = context()
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    module = module_of(ctx, [], lambda b: [b.negate(values), b.reverse(b.constant(values), (0,)), b.log(values)])
    expected = results_of(module, [], ctx)
    run(module, ctx, FoldConstantsPass())
    assert names(module) == []
    for result, reference in zip(results_of(module, [], ctx), expected, strict=True):
        assert result.tobytes() == reference.tobytes()


@pytest.mark.parametrize("shape", [(0,), (0, 3), ()])
def test_fold_odd_shapes(shape: tuple[int, ...]) -> None:
    ctx = context()
    module = module_of(ctx, [], lambda b: [b.negate(np.ones(shape, np.float32))])
    run(module, ctx, FoldConstantsPass())
    assert names(module) == []
    np.testing.assert_array_equal(results_of(module, [], ctx)[0], -np.ones(shape, np.float32))


# ---- decompose


def test_decompose_only_and_keep() -> None:
    def build(b, x):
        return [b.gelu(b.softmax(x, 1))]

    def made(each: DecomposePass) -> list[str]:
        ctx = context()
        return names(run(module_of(ctx, [([2, 3], f32)], build), ctx, each))

    assert "softmax" in made(DecomposePass(only=("gelu",))) and "gelu" not in made(DecomposePass(only=("gelu",)))
    assert made(DecomposePass(keep=("gelu", "softmax"))) == ["softmax", "gelu"]
    assert not {"gelu", "softmax"} & set(made(DecomposePass()))
    with pytest.raises(LaminaError, match="'conv' is no composite"):
        made(DecomposePass(only=("conv",)))


def test_decompose_half_precision_rounds_once() -> None:
    ctx = context()
    module = module_of(ctx, [(["n", 64], f16)], lambda b, x: [b.softmax(x, 1), b.gelu(x)])
    inputs = [np.random.default_rng(0).normal(size=(3, 64)).astype(np.float16)]
    expected = results_of(module, inputs, ctx)
    run(module, ctx, DecomposePass())
    for result, reference in zip(results_of(module, inputs, ctx), expected, strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-3, atol=1e-4)


# ---- assign-layouts


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_layouts_of_convolutions(spatial: int) -> None:
    ctx = context()
    module = residual_net(ctx, spatial)
    inputs = [normal(np.random.default_rng(3), 2, 3, *(8, 8, 6)[:spatial])]
    (expected,) = results_of(module, inputs, ctx)
    run(module, ctx, InferTypesPass(), AssignLayoutsPass(), FoldConstantsPass())
    np.testing.assert_allclose(results_of(module, inputs, ctx)[0], expected, rtol=1e-4, atol=1e-5)
    last = spatial + 1
    for op in module.walk():
        if isinstance(op, ConvolutionOp):
            assert op.input_order == op.output_order == axis_order(0, last, last + 1)
            assert op.kernel_order.permutation[:2] == (last, last - 1)
    assert names(module).count("transpose") == 1


def test_layout_transposes_move_through_neighbors() -> None:
    ctx = context()
    rng = np.random.default_rng(0)

    def build(b, x, scale, vector):
        y = b.convolution(x, normal(rng, 4, 3, 3, 3), (1, 1), (1, 1, 1, 1))
        gate = b.logistic(b.mean(y, (2, 3), True))
        y = b.multiply(y, gate)
        y = b.select(b.compare("GT", y, 0.0), y, b.multiply(y, scale))
        y = b.add(y, vector)
        y = b.reverse(b.slice(y, (0, 1, 0, 2), (9, 9, 9, 7)), (3,))
        y = b.cumulative("add", b.pad(y, 1.0, (0, 0, 1, 0), (0, 0, 0, 2), mode="edge"), 1)
        return [b.arg_reduce("maximum", y, 1), b.reduce("maximum", y, (1, 2)), b.log_softmax(y, 1)]

    arguments = [(["n", 3, 9, 9], f32), ([4, 1, 1], f32), ([9], f32)]
    module = module_of(ctx, arguments, build)
    inputs = [normal(rng, 2, 3, 9, 9), normal(rng, 4, 1, 1), normal(rng, 9)]
    expected = results_of(module, inputs, ctx)
    run(module, ctx, InferTypesPass(), AssignLayoutsPass(), FoldConstantsPass())
    for result, reference in zip(results_of(module, inputs, ctx), expected, strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-4, atol=1e-4)
    # The input, the result of log_softmax, and those of the operands that are no views.
    assert names(module).count("transpose") <= 4


def test_layouts_leave_other_modules_alone() -> None:
    ctx = context()
    module = encoder(ctx, layers=1)
    before = str(module)
    run(module, ctx, AssignLayoutsPass())
    assert str(module) == before


# ---- prepare-contractions


@pytest.mark.parametrize(
    ("lhs", "rhs", "contracted", "batch"),
    [
        ([3, 4], [5, 4], ((1,), (1,)), ((), ())),
        ([3, 4], [4, 5], ((1,), (0,)), ((), ())),
        ([2, 3, 4], [2, 5, 4], ((2,), (2,)), ((0,), (0,))),
        ([3, 2, 4], [5, 4, 2], ((2,), (1,)), ((1,), (2,))),
        ([3, 4], [4], ((1,), (0,)), ((), ())),
        ([4], [5, 4], ((0,), (1,)), ((), ())),
        ([4], [4], ((0,), (0,)), ((), ())),
        ([3, 4, 2], [5, 2, 6, 4], ((1, 2), (3, 1)), ((), ())),
        ([0, 4], [5, 4], ((1,), (1,)), ((), ())),
    ],
)
def test_prepared_contractions(lhs, rhs, contracted, batch) -> None:
    ctx = context()
    module = module_of(ctx, [(lhs, f32), (rhs, f32)], lambda b, x, y: [b.dot_general(x, y, *contracted, *batch)])
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-4, 5, lhs).astype(np.float32), rng.integers(-4, 5, rhs).astype(np.float32)]
    (expected,) = results_of(module, inputs, ctx)
    run(module, ctx, PrepareContractionsPass())
    np.testing.assert_array_equal(results_of(module, inputs, ctx)[0], expected)
    (dot,) = [op for op in module.walk() if op.name == "graph.dot_general"]
    _, free, _ = dot.rhs_axes
    # What a vector is multiplied with is read once, in the order in which it lies.
    assert not dot.lhs_axes[1] or free[-1] == len(dot.rhs.type.get_shape()) - 1
    assert not dot.lhs_axes[1] or dot.rhs_axes[1], "a vector stands on the left"
    before = str(module)
    run(module, ctx, PrepareContractionsPass())
    assert str(module) == before


# ---- resolve-shapes


def test_resolved_shapes() -> None:
    ctx = context()

    def build(b, x, y):
        n = b.dimension(x, 0)
        vector = b.concatenate([b.reshape(n, (1,)), b.constant(np.array([2, 2]))], 0)
        pair = b.concatenate([b.reshape(n, (1,)), b.constant(np.array([4]))], 0)
        halves = b.dynamic_reshape(x, vector)
        wide = b.dynamic_broadcast(y, pair)
        part = b.dynamic_slice(x, b.constant(np.array([0, 1])), pair, b.constant(np.array([1, 1])))
        padded = b.dynamic_pad(part, 0.0, b.constant(np.array([0, 1])), b.constant(np.array([0, 0])))
        counted = b.dynamic_iota(f32, b.constant(np.array([4])), 0)
        return [halves, b.add(x, wide), padded, b.add(counted, y)]

    module = module_of(ctx, [(["n", 4], f32), ([4], f32)], build)
    inputs = [normal(np.random.default_rng(0), 3, 4), normal(np.random.default_rng(1), 4)]
    expected = results_of(module, inputs, ctx)
    run(module, ctx, InferTypesPass(), ResolveShapesPass())
    assert sorted(names(module)) == ["add", "add", "iota", "pad", "reshape", "slice"]
    for result, reference in zip(results_of(module, inputs, ctx), expected, strict=True):
        np.testing.assert_array_equal(result, reference)


def test_resolve_keeps_broadcasts_that_matter() -> None:
    ctx = context()

    def build(b, x):
        return [b.negate(b.broadcast(x, (3, -1))), b.add(b.broadcast(x, (3, -1)), b.broadcast(x, (3, -1)))]

    module = module_of(ctx, [([4], f32)], build)
    inputs = [np.arange(4, dtype=np.float32)]
    expected = results_of(module, inputs, ctx)
    run(module, ctx, ResolveShapesPass())
    assert names(module).count("broadcast") >= 2
    for result, reference in zip(results_of(module, inputs, ctx), expected, strict=True):
        np.testing.assert_array_equal(result, reference)


def test_resolve_reshape_of_empty_tensors() -> None:
    """[0, n] has no unique -1."""
    ctx = context()

    def build(b, x):
        shape = b.concatenate([b.constant(np.array([0])), b.reshape(b.dimension(x, 0), (1,))], 0)
        return [b.dynamic_reshape(b.slice(x, (0, 0), (100, 0)), shape)]

    module = module_of(ctx, [(["n", 4], f32)], build)
    run(module, ctx, InferTypesPass(), ResolveShapesPass())
    assert results_of(module, [np.zeros((3, 4), np.float32)], ctx)[0].shape == (0, 3)


# ---- canonicalize, cse, dce


def test_canonicalize_keeps_locations() -> None:
    ctx = context()

    def build(b, x):
        return [b.exp(b.transpose(b.transpose(b.transpose(x, (1, 2, 0)), (1, 2, 0)), (0, 2, 1)))]

    module = module_of(ctx, [([2, 3, 4], f32)], build)
    for index, op in enumerate(module.walk()):
        op.location = NameLoc(StringAttr(f"node{index}"), NoneAttr())
    run(module, ctx, CanonicalizePass())
    assert names(module) == ["transpose", "exp"]
    assert all("node" in str(op.location) for op in module.walk())


def test_cse_and_dce_reach_into_regions() -> None:
    ctx = context()

    def build(b, flag, x):
        def then():
            b.tanh(x)
            return [b.add(b.exp(x), b.exp(x))]

        return b.if_(flag, then, lambda: [x])

    module = module_of(ctx, [([], i1), ([3], f32)], build)
    run(module, ctx, CommonSubexpressionElimination(), DeadCodeElimination())
    assert sorted(names(module)) == ["add", "exp", "if", "yield", "yield"]


def test_passes_state_their_contract() -> None:
    from lamina.passes.graph.form_kernels import FormKernelsPass
    from lamina.passes.graph.share_kernels import ShareKernelsPass

    for each in (*EXACT[:4], *ROUNDING, FormKernelsPass(), ShareKernelsPass()):
        assert "```mlir" in (each.__doc__ or ""), each.name
        assert each.ensures or each.name == "canonicalize"


def test_a_context_without_a_store_is_served() -> None:
    """Tools of others have xDSL's own context."""
    module = parse(
        """
        func.func @main() -> tensor<2xf32> {
          %c = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
          %y = graph.negate %c : tensor<2xf32>
          func.return %y : tensor<2xf32>
        }
        """
    )
    plain = Context()
    for dialect in context().loaded_dialects:
        plain.load_dialect(dialect)
    run(module, plain, FoldConstantsPass(), DecomposePass())
    assert len(resources_of(plain)) == 0
    assert names(module) == []
    assert isinstance(module.body.block.first_op, func.FuncOp)
