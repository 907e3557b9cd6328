"""recognize-attention: what stands around a softmax computes what ONNX Runtime computes, recognized or not."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

import lamina
from lamina import api, pipelines
from support.oracles import onnxruntime_outputs

INPUTS = {"q": "b, 4, 16, 8", "k": "b, 4, 16, 8", "v": "b, 4, 16, 8", "kg": "b, 2, 16, 8", "vg": "b, 2, 16, 8"}
CONSTANTS = (
    "int64[5] single = {0, 2, 1, 16, 8}, int64[5] group = {1, 1, 2, 1, 1}, int64[4] heads = {0, 4, 16, 8}, "
    "int64[3] merged = {-1, 16, 8}, int64[3] mixed = {2, 64, 8}, int64[4] turned = {-1, 4, 8, 16}, float two = {2}, "
    "float zero = {0}, float half = {0.5}"
)
ATTENTION = "s = MatMul(q, kt) w = Softmax(s) y = MatMul(w, vr)"
GROUPED = (
    "k5 = Reshape(kg, single) ke = Expand(k5, group) kr = Reshape(ke, heads) kt = Transpose <perm = [0, 1, 3, 2]> (kr) "
)


def model(body: str, symbolic: bool) -> onnx.ModelProto:
    used = {name: shape for name, shape in INPUTS.items() if f"{name})" in body or f"{name}," in body}
    arguments = ", ".join(f"float[{shape}] {name}" for name, shape in used.items())
    arguments = arguments if symbolic else arguments.replace("b,", "2,")
    batch = "b" if symbolic else "2"
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g ({arguments}) => (float[{batch}, 4, 16, 8] y) '
        f"<{CONSTANTS}> {{ {body} }}"
    )


def graph_text(source: onnx.ModelProto) -> str:
    ctx = api.make_context()
    module = api.load_module(source, ctx)
    pipelines.run_phases(module, ctx, to="graph")
    return api.module_text(module)


FORMS = {
    "a factor on values of a group": (
        True,
        GROUPED
        + "v2 = Mul(vg, two) v5 = Reshape(v2, single) ve = Expand(v5, group) vr = Reshape(ve, heads) "
        + ATTENTION,
    ),
    "keys turned within merged heads": (
        True,
        "km = Reshape(k, merged) kp = Transpose <perm = [0, 2, 1]> (km) kt = Reshape(kp, turned) vr = Identity(v) "
        + ATTENTION,
    ),
    "keys merged along other axes": (
        False,
        "km = Reshape(k, mixed) kp = Transpose <perm = [0, 2, 1]> (km) kt = Reshape(kp, turned) vr = Identity(v) "
        + ATTENTION,
    ),
}


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_is_onnx_runtimes(name: str, symbolic: bool) -> None:
    takes_any_batch, body = FORMS[name]
    if symbolic and not takes_any_batch:
        pytest.skip("its reshape states the batch")
    source = model(body, symbolic)
    rng = np.random.default_rng(0)
    inputs = {
        each.name: rng.standard_normal((2, 2 if each.name.endswith("g") else 4, 16, 8)).astype(np.float32)
        for each in source.graph.input
    }
    (theirs,) = onnxruntime_outputs(source, inputs)
    (ours,) = lamina.compile(source, threads=1)(**inputs)
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("symbolic", [False, True])
def test_merged_heads_are_read_through(symbolic: bool) -> None:
    text = graph_text(model(FORMS["keys turned within merged heads"][1], symbolic))
    assert "graph.attention" in text and "reshape" not in text and "transpose" not in text


HIDDEN_ROWS = {
    "a factor over the mask": "x = Add(s, m) z = Mul(x, half)",
    "a factor under the mask": "n = Mul(s, half) z = Add(n, m)",
    "two masks": "x = Add(s, m) z = Add(x, c)",
    "a quotient": "x = Add(m, s) z = Div(x, two)",
    "a mask that is a factor": "n = Mul(m, half) o = Add(s, n) z = Mul(o, half)",
}


@pytest.mark.parametrize("name", HIDDEN_ROWS)
def test_guards_of_rows_that_a_mask_hides_stay(name: str) -> None:
    """Hidden rows give 0, as the guard says; few queries keep primitives, many make an attention."""
    for queries in (4, 16):
        source = onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : 18]> g (float[2, {queries}, 8] q, float[2, 8, 16] kt, '
            f"float[2, 16, 8] v, float[{queries}, 16] m) => (float[2, {queries}, 8] y) "
            f"<{CONSTANTS}, float[16] c = {{{', '.join('12' * 8)}}}> {{ s = MatMul(q, kt) {HIDDEN_ROWS[name]} w = Softmax(z) t = IsNaN(w) "
            "u = Where(t, zero, w) y = MatMul(u, v) }"
        )
        rng = np.random.default_rng(0)
        mask = np.zeros((queries, 16), np.float32)
        mask[1], mask[2, :5] = -np.inf, -np.inf
        inputs = {
            "q": rng.standard_normal((2, queries, 8)).astype(np.float32),
            "kt": rng.standard_normal((2, 8, 16)).astype(np.float32),
            "v": rng.standard_normal((2, 16, 8)).astype(np.float32),
            "m": mask,
        }
        (theirs,) = onnxruntime_outputs(source, inputs)
        assert not theirs[:, 1].any()
        (ours,) = lamina.compile(source, threads=1)(**inputs)
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
