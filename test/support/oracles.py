"""Numbers that nobody here computed: ONNX Runtime in f32, and an evaluation in f64 to measure both errors against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import AttributeProto, GraphProto, TensorProto, numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

EVALUATED_OPSET = 17
LARGEST_ONNXRUNTIME_ERROR = 1e-3
"""Of the largest magnitude: where ONNX Runtime is further from the f64 evaluation, one of the two is wrong."""


class LRN(OpRun):
    """The formula of ONNX's LRN; the evaluator's own normalizes as many channels as there are images in the batch."""

    op_domain = ""

    def _run(self, x, alpha=None, beta=None, bias=None, size=None):
        before = (size - 1) // 2
        widths = [(before, size - 1 - before) if axis == 1 else (0, 0) for axis in range(x.ndim)]
        squares = np.pad(x * x, widths)
        total = sum(squares[:, offset : offset + x.shape[1]] for offset in range(size))
        return (x / (bias + alpha / size * total) ** beta,)


def onnxruntime_outputs(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], threads: int = 1) -> list[np.ndarray]:
    """What ONNX Runtime computes, all optimizations on."""
    return onnxruntime_session(model, threads).run(None, dict(feeds))


def onnxruntime_session(model: onnx.ModelProto, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def double_outputs(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The model evaluated in f64 by the ONNX package's reference evaluator (NumPy).

    The evaluator gives wrong numbers for some operators of opsets before 13 (Softmax, AveragePool): such a model is
    converted first.
    """
    doubled = onnx.ModelProto()
    doubled.CopyFrom(model)
    if min(opset.version for opset in model.opset_import if not opset.domain) < EVALUATED_OPSET:
        doubled.ir_version = 8
        doubled = version_converter.convert_version(doubled, EVALUATED_OPSET)
    _graph_to_double(doubled.graph)
    for function in doubled.functions:
        for node in function.node:
            for attribute in node.attribute:
                _attribute_to_double(node.op_type, attribute)
    feeds64 = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in feeds.items()}
    outputs = ReferenceEvaluator(doubled, new_ops=[LRN]).run(None, feeds64)
    assert isinstance(outputs, list)
    return outputs


def _graph_to_double(graph: GraphProto) -> None:
    for initializer in graph.initializer:
        if initializer.data_type == TensorProto.FLOAT:
            initializer.CopyFrom(_tensor_to_double(initializer))
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in graph.node:
        for attribute in node.attribute:
            _attribute_to_double(node.op_type, attribute)


def _attribute_to_double(op_type: str, attribute: AttributeProto) -> None:
    if attribute.type == AttributeProto.GRAPH:
        _graph_to_double(attribute.g)
    elif attribute.type == AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT:
        attribute.t.CopyFrom(_tensor_to_double(attribute.t))
    elif op_type in ("Cast", "EyeLike") and attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT:
        attribute.i = TensorProto.DOUBLE


def _tensor_to_double(tensor: TensorProto) -> TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name)


def assert_as_accurate_as_onnxruntime(
    ours: Sequence[np.ndarray], model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]
) -> float:
    """Our error against f64 is at most twice ONNX Runtime's plus 1e-6 of the largest magnitude; returns the ratio."""
    theirs, exact = onnxruntime_outputs(model, feeds), double_outputs(model, feeds)
    assert len(ours) == len(exact)
    worst = 0.0
    for index, (our, their, true) in enumerate(zip(ours, theirs, exact, strict=True)):
        assert our.shape == true.shape == their.shape, f"output {index}: {our.shape}, {their.shape}, {true.shape}"
        assert our.dtype == their.dtype, f"output {index}: {our.dtype}, {their.dtype}"
        if true.dtype != np.float64:
            np.testing.assert_array_equal(our, true)
            continue
        assert np.isfinite(our).all()
        our_error, their_error = np.abs(our - true).max(initial=0), np.abs(their - true).max(initial=0)
        magnitude = np.abs(true).max(initial=0)
        assert their_error <= LARGEST_ONNXRUNTIME_ERROR * magnitude, f"output {index}: the oracles disagree"
        bound = 2 * their_error + 1e-6 * magnitude
        assert our_error <= bound, f"output {index}: error {our_error:.3e}, ONNX Runtime's {their_error:.3e}"
        worst = max(worst, our_error / max(their_error, 1e-30))
    return worst
