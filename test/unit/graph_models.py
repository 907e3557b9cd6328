"""Graph modules for the tests: small models, and a way to build a module from Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects import builtin, func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr, f32, i64
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.parser import Parser

from lamina.context import LaminaContext
from lamina.dialects.graph import Graph
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.dims import parse_dim


def context() -> LaminaContext:
    ctx = LaminaContext()
    for dialect in (builtin.Builtin, func.Func, Graph):
        ctx.load_dialect(dialect)
    return ctx


def parse(text: str, ctx: LaminaContext | None = None) -> ModuleOp:
    module = Parser(ctx or context(), text).parse_module()
    module.verify()
    return module


def module_of(
    ctx: LaminaContext,
    arguments: Sequence[tuple[Sequence[int | str], Attribute]],
    build: Callable[..., Sequence[SSAValue]],
) -> ModuleOp:
    """A module whose main takes arguments of (sizes or names, element type) and returns what `build` gives."""
    known = [AbstractTensor(tuple(parse_dim(str(dim)) for dim in dims), element) for dims, element in arguments]
    block = Block(arg_types=[item.type for item in known])
    builder = GraphBuilder.at_end(block, ctx.resources)
    for argument, item in zip(block.args, known, strict=True):
        builder.declare(argument, item)
    outputs = build(builder, *block.args)
    block.add_op(func.ReturnOp(*outputs))
    attributes = [
        DictionaryAttr({"lamina.dims": ArrayAttr([StringAttr(str(dim)) for dim in dims])}) for dims, _ in arguments
    ]
    main = func.FuncOp(
        "main",
        FunctionType.from_lists([item.type for item in known], [output.type for output in outputs]),
        Region(block),
        arg_attrs=ArrayAttr(attributes),
    )
    module = ModuleOp([main])
    module.verify()
    return module


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def linear(builder: GraphBuilder, x: SSAValue, rng: np.random.Generator, inputs: int, outputs: int) -> SSAValue:
    rank = builder.rank(x)
    product = builder.dot_general(x, normal(rng, inputs, outputs) * np.float32(0.1), (rank - 1,), (0,))
    return builder.add(product, normal(rng, outputs))


def encoder(ctx: LaminaContext, layers: int = 2, width: int = 64, heads: int = 4, inner: int = 128) -> ModuleOp:
    """A BERT-like encoder over token ids and a mask, batch and sequence symbolic, attention from its parts."""
    rng = np.random.default_rng(0)
    batch, seq = parse_dim("batch"), parse_dim("seq")

    def build(b: GraphBuilder, ids: SSAValue, mask: SSAValue) -> list[SSAValue]:
        size = width // heads
        sizes = {batch: b.dimension(ids, 0), seq: b.dimension(ids, 1)}
        x = norm(b, b.take(normal(rng, 100, width), ids, 0))
        penalty = b.multiply(b.subtract(np.float32(1.0), b.cast(mask, f32)), -10000.0)
        penalty = b.dynamic_reshape(penalty, b.sizes([batch, 1, 1, seq], sizes))

        def split(value: SSAValue, permutation: Sequence[int]) -> SSAValue:
            parts = b.dynamic_reshape(value, b.sizes([batch, seq, heads, size], sizes))
            return b.transpose(parts, permutation)

        for _ in range(layers):
            query = split(linear(b, x, rng, width, width), (0, 2, 1, 3))
            key = split(linear(b, x, rng, width, width), (0, 2, 3, 1))
            value = split(linear(b, x, rng, width, width), (0, 2, 1, 3))
            scores = b.dot_general(query, key, (3,), (2,), (0, 1), (0, 1))
            scores = b.add(b.multiply(scores, size**-0.5), penalty)
            mixed = b.dot_general(b.softmax(scores, 3), value, (3,), (2,), (0, 1), (0, 1))
            mixed = b.transpose(mixed, (0, 2, 1, 3))
            mixed = b.dynamic_reshape(mixed, b.sizes([batch, seq, width], sizes))
            x = norm(b, b.add(linear(b, mixed, rng, width, width), x))
            hidden = b.gelu(linear(b, x, rng, width, inner))
            x = norm(b, b.add(linear(b, hidden, rng, inner, width), x))
        return [x]

    def norm(b: GraphBuilder, x: SSAValue) -> SSAValue:
        return b.layer_norm(x, normal(rng, width), normal(rng, width), 2, 1e-5)

    return module_of(ctx, [(["batch", "seq"], i64), (["batch", "seq"], i64)], build)


def encoder_inputs(batch: int, seq: int) -> list[np.ndarray]:
    rng = np.random.default_rng(batch * 100 + seq)
    return [rng.integers(0, 100, (batch, seq)), (rng.random((batch, seq)) > 0.3).astype(np.int64)]


def lenet(ctx: LaminaContext) -> ModuleOp:
    """LeNet with ONNX's NCHW layout; the batch is symbolic."""
    rng = np.random.default_rng(0)

    def build(b: GraphBuilder, x: SSAValue) -> list[SSAValue]:
        def block(value: SSAValue, inputs: int, outputs: int, padding: int) -> SSAValue:
            y = b.convolution(value, normal(rng, outputs, inputs, 5, 5) * np.float32(0.2), (1, 1), (padding,) * 4)
            y = b.relu(b.add(y, normal(rng, outputs, 1, 1)))
            return b.reduce_window("maximum", y, (1, 1, 2, 2), (1, 1, 2, 2))

        y = block(block(x, 1, 6, 2), 6, 16, 0)
        y = b.reshape(y, (-1, 400))
        y = b.relu(linear(b, y, rng, 400, 120))
        y = b.relu(linear(b, y, rng, 120, 84))
        return [linear(b, y, rng, 84, 10)]

    return module_of(ctx, [(["batch", 1, 28, 28], f32)], build)


def residual_net(ctx: LaminaContext, spatial: int = 2) -> ModuleOp:
    """Convolutions, batch normalization, a residual sum, average pooling; 1, 2 or 3 spatial axes."""
    rng = np.random.default_rng(1)
    size = (8, 8, 6)[:spatial]
    ones = (1,) * spatial

    def build(b: GraphBuilder, x: SSAValue) -> list[SSAValue]:
        def conv(value: SSAValue, inputs: int, outputs: int, stride: int = 1) -> SSAValue:
            kernel = normal(rng, outputs, inputs, *(3,) * spatial) * np.float32(0.3)
            return b.convolution(value, kernel, (stride,) * spatial, (1, 1) * spatial)

        def batch_norm(value: SSAValue, features: int) -> SSAValue:
            positive = np.abs(normal(rng, features)) + np.float32(0.5)
            parameters = (normal(rng, features), normal(rng, features), normal(rng, features), positive)
            return b.batch_norm(value, *parameters, 1, 1e-5)

        y = b.relu(batch_norm(conv(x, 3, 8), 8))
        y = b.relu(b.add(batch_norm(conv(y, 8, 8), 8), y))
        y = b.pad(y, 0.0, (0, 0, *ones), (0, 0, *ones))
        pooled = b.reduce_window("add", y, (1, 1, *(2,) * spatial), (1, 1, *(2,) * spatial))
        y = b.concatenate(
            [
                b.divide(pooled, float(2**spatial)),
                b.reduce_window("maximum", y, (1, 1, *(2,) * spatial), (1, 1, *(2,) * spatial)),
            ],
            1,
        )
        y = b.relu(b.softmax(conv(y, 16, 4, 2), 1))
        y = b.mean(y, tuple(range(2, 2 + spatial)))
        return [linear(b, y, rng, 4, 5)]

    return module_of(ctx, [([2, 3, *size], f32)], build)
