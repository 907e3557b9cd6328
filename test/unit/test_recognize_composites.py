"""recognize-composites: what exporters write becomes composites that compute what ONNX Runtime computes of it."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnx.parser
import pytest
from xdsl.dialects.builtin import ModuleOp, f32

import lamina
from graph_models import context, module_of, normal
from lamina import api, pipelines
from lamina.passes.graph.recognize_composites import RecognizeCompositesPass
from lamina.targets.reference.evaluate import evaluate
from support.oracles import double_outputs, onnxruntime_outputs

X = "float[b, 5, 12] x"
CONSTANTS = (
    "float root2 = {1.4142135381698608}, float one = {1}, float half = {0.5}, float two = {2}, float three = {3}, "
    "float cubic = {0.044714998453855515}, float root2pi = {0.7978845834732056}, float eps = {0.00001}, "
    "float minus_one = {-1}, float zero = {0}, float six = {6}, "
    "float[12] scale = {1,2,3,4,5,6,7,8,9,0.5,-1,-2}, float[12] bias = {0.5,1,-1,2,0,0.25,1,1,1,-3,4,5}, "
    "int64[1] last = {-1}, int64[1] first = {0}"
)

FORMS = {
    "gelu_script": ("gelu", "d = Div(x, root2) e = Erf(d) a = Add(e, one) m = Mul(x, a) y = Mul(m, half)"),
    "gelu_half_first": ("gelu", "h = Mul(x, half) d = Div(x, root2) e = Erf(d) a = Add(one, e) y = Mul(h, a)"),
    "gelu_half_inside": (
        "gelu",
        "d = Div(x, root2) e = Erf(d) a = Add(e, one) h = Mul(half, a) y = Mul(x, h)",
    ),
    "gelu_tanh": (
        "gelu approximate = tanh",
        "h = Mul(half, x) p = Pow(x, three) q = Mul(cubic, p) i = Add(x, q) k = Mul(root2pi, i) t = Tanh(k) "
        "a = Add(one, t) y = Mul(h, a)",
    ),
    "gelu_tanh_factored": (
        "gelu approximate = tanh",
        "s = Mul(x, x) q = Mul(cubic, s) a = Add(q, one) k = Mul(x, root2pi) i = Mul(k, a) t = Tanh(i) "
        "u = Add(t, one) h = Mul(u, half) y = Mul(h, x)",
    ),
    "silu": ("silu", "s = Sigmoid(x) y = Mul(s, x)"),
    "silu_quotient": ("silu", "n = Neg(x) e = Exp(n) a = Add(one, e) y = Div(x, a)"),
    "relu6": ("clamp", "r = Max(x, zero) y = Min(r, six)"),
    "hard_swish": ("clamp", "a = Add(x, three) y0 = Clip(a, zero, six) m = Mul(x, y0) y = Div(m, six)"),
    "softmax": (
        "softmax",
        "m = ReduceMax(x, last) s = Sub(x, m) e = Exp(s) t = ReduceSum(e, last) y = Div(e, t)",
    ),
    "log_softmax": (
        "log_softmax",
        "m = ReduceMax(x, last) s = Sub(x, m) e = Exp(s) t = ReduceSum(e, last) l = Log(t) y = Sub(s, l)",
    ),
    "layer_norm_script": (
        "layer_norm",
        "m = ReduceMean(x, last) c = Sub(x, m) p = Pow(c, two) v = ReduceMean(p, last) a = Add(v, eps) r = Sqrt(a) "
        "d = Div(c, r) s = Mul(d, scale) y = Add(s, bias)",
    ),
    "layer_norm_twice_centered": (
        "layer_norm",
        "m = ReduceMean(x, last) c = Sub(x, m) c2 = Sub(x, m) p = Mul(c2, c2) v = ReduceMean(p, last) "
        "a = Add(eps, v) r = Sqrt(a) i = Div(one, r) d = Mul(i, c) s = Mul(scale, d) y = Add(bias, s)",
    ),
    "layer_norm_plain": (
        "layer_norm",
        "m = ReduceMean(x, last) c = Sub(x, m) p = Mul(c, c) v = ReduceMean(p, last) a = Add(v, eps) r = Sqrt(a) "
        "y = Div(c, r)",
    ),
    "rms_norm": (
        "rms_norm",
        "p = Pow(x, two) v = ReduceMean(p, last) a = Add(v, eps) r = Sqrt(a) i = Div(one, r) d = Mul(x, i) "
        "y = Mul(scale, d)",
    ),
    "rms_norm_reciprocal": (
        "rms_norm",
        "p = Mul(x, x) v = ReduceMean(p, last) a = Add(v, eps) r = Sqrt(a) i = Reciprocal(r) y = Mul(x, i)",
    ),
}


def model(body: str) -> onnx.ModelProto:
    text = f'<ir_version: 8, opset_import: ["" : 18]> g ({X}) => (float[b, 5, 12] y) <{CONSTANTS}> {{ {body} }}'
    return onnx.parser.parse_model(text)


def graph_text(of: onnx.ModelProto) -> str:
    ctx = api.make_context()
    module = api.load_module(of, ctx)
    pipelines.run_phases(module, ctx, to="graph")
    return api.module_text(module)


@pytest.mark.parametrize("name", FORMS)
def test_what_exporters_write(name: str) -> None:
    composite, body = FORMS[name]
    source = model(body)
    text = graph_text(source)
    words = composite.split(" ", 1)
    assert text.count(f"graph.{words[0]} ") == 1 and all(word in text for word in words)
    x = normal(np.random.default_rng(0), 3, 5, 12) * 3
    x[0, 0, :3] = (-30, 30, 0)
    (exact,), (theirs,) = double_outputs(source, {"x": x}), onnxruntime_outputs(source, {"x": x})
    (ours,) = lamina.compile(source, threads=1)(x=x)
    limit = 2 * np.abs(theirs - exact).max() + 1e-6 * max(1.0, np.abs(exact).max())
    assert np.abs(ours - exact).max() <= limit


NOT_COMPOSITES = {
    "a sigmoid of something else": "n = Mul(x, two) s = Sigmoid(n) y = Mul(x, s)",
    "erf of another multiple": "d = Div(x, two) e = Erf(d) a = Add(e, one) m = Mul(x, a) y = Mul(m, half)",
    "gelu without the half": "d = Div(x, root2) e = Erf(d) a = Add(e, one) y = Mul(x, a)",
    "a norm whose mean is of another axis": (
        "m = ReduceMean(x, last) c = Sub(x, m) p = Mul(c, c) v0 = ReduceMean(p, first) a = Add(v0, eps) r = Sqrt(a) "
        "y = Div(c, r)"
    ),
    "a variance less something": (
        "p = Mul(x, x) v = ReduceMean(p, last) a = Add(v, minus_one) r = Sqrt(a) y = Div(x, r)"
    ),
}


@pytest.mark.parametrize("name", NOT_COMPOSITES)
def test_what_looks_alike_stays(name: str) -> None:
    text = graph_text(model(NOT_COMPOSITES[name]))
    assert not any(f"graph.{composite} " in text for composite in ("gelu", "silu", "layer_norm", "rms_norm"))


def recognized(module: ModuleOp, ctx) -> list[str]:
    RecognizeCompositesPass().apply(ctx, module)
    module.verify()
    return [op.name for op in module.walk() if op.name in ("graph.gelu", "graph.silu")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("nested", [False, True])
def test_gelu_factors_in_any_order(order: tuple[int, ...], nested: bool) -> None:
    def build(b, x):
        parts = (x, 0.5, b.add(b.erf(b.multiply(x, np.float32(0.5**0.5))), 1.0))
        first, second, third = (parts[index] for index in order)
        if nested:
            inner = b.multiply(*((second, third) if not isinstance(second, float) else (third, second)))
            return [b.multiply(inner, first)]
        inner = b.multiply(*((first, second) if not isinstance(first, float) else (second, first)))
        return [b.multiply(inner, third)]

    ctx = context()
    module = module_of(ctx, [((["n", 4]), f32)], build)
    x = normal(np.random.default_rng(0), 3, 4)
    expected = evaluate(module, [x], ctx.resources)[0]
    assert recognized(module, ctx) == ["graph.gelu"]
    np.testing.assert_allclose(evaluate(module, [x], ctx.resources)[0], expected, rtol=1e-6, atol=1e-6)


def test_a_product_that_is_the_argument_stays_whole() -> None:
    def build(b, x, y):
        z = b.multiply(x, y)
        return [b.multiply(z, b.logistic(z))]

    ctx = context()
    assert recognized(module_of(ctx, [((["n"]), f32), ((["n"]), f32)], build), ctx) == ["graph.silu"]
