"""ONNX's own backend suite through the front end and the reference evaluator.

Every case must give the expected results, or be refused for reasons that `onnx_unsupported.txt` lists (operator and
reason). A listed reason that no case gives any more fails as well, so that the list stays what it says. Written again
by `python test/unit/test_onnx_backend.py`.
"""

from __future__ import annotations

import functools
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import pytest
from onnx import numpy_helper
from xdsl.dialects.builtin import ModuleOp

from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.frontends.onnx import check_model, import_model
from lamina.frontends.onnx.validation import OLDEST_OPSET
from lamina.targets.reference.evaluate import evaluate

LIST = Path(__file__).with_name("onnx_unsupported.txt")
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")

# Before operator set 7 the slope of PRelu was along the channels; onnx.version_converter leaves it as it is.
BADLY_CONVERTED = {f"test_PReLU_{rank}d_multiparam" for rank in (1, 2, 3)}

# Where the results are f16 or bf16, operators that the suite defines by many roundings are computed with fewer.
LOW_PRECISION = {"float16": 4e-3, "bfloat16": 3e-2}

# Zeros of an inverse transform that the suite expects as the rounding errors of its own sums in f32.
CANCELLING = {"test_dft_inverse", "test_dft_inverse_opset19"}


@functools.cache
def all_cases() -> tuple[object, ...]:
    from onnx.backend.test import loader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [case for kind in KINDS for case in loader.load_model_tests(kind=kind)]
    return tuple(case for case in cases if case.name not in BADLY_CONVERTED)


def model_of(case) -> onnx.ModelProto:
    model = case.model or onnx.load(Path(case.model_dir) / "model.onnx")
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if versions and versions[0] < OLDEST_OPSET:
        return onnx.version_converter.convert_version(model, OLDEST_OPSET)
    return model


def data_sets(case) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    if case.data_sets is not None:
        for inputs, outputs in case.data_sets:
            yield [array_of(value) for value in inputs], [array_of(value) for value in outputs]
        return
    for folder in sorted(Path(case.model_dir).glob("test_data_set_*")):
        yield read_tensors(folder, "input"), read_tensors(folder, "output")


def array_of(value) -> np.ndarray:
    if isinstance(value, list):
        return np.empty(len(value), object)  # a sequence, which nothing here takes
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def read_tensors(folder: Path, kind: str) -> list[np.ndarray]:
    count = len(list(folder.glob(f"{kind}_*.pb")))
    paths = [folder / f"{kind}_{index}.pb" for index in range(count)]
    return [numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())) for path in paths]


def with_symbolic_sizes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a symbol for every size of its inputs above 1 (sizes of 1 are there to be broadcast)."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in copy.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_value > 1:
                dim.dim_param = f"{value.name}_size{axis}"
    return copy


def frozen(model: onnx.ModelProto, inputs: Sequence[np.ndarray]) -> tuple[onnx.ModelProto, list[np.ndarray]]:
    """The model with its small vector and scalar inputs (shapes, axes, modes) as constants, and the other inputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    names = {tensor.name for tensor in copy.graph.initializer}
    rest: list[np.ndarray] = []
    for value, array in zip([value for value in model.graph.input if value.name not in names], inputs, strict=True):
        if array.ndim <= 1 and array.size <= 64:
            copy.graph.initializer.append(numpy_helper.from_array(array, value.name))
        else:
            rest.append(array)
    return copy, rest


def normalized(reason: str) -> str:
    """A reason without the sizes in it."""
    return re.sub(r"stride of \d+", "stride of N", re.sub(r"must be known: .*", "must be known", reason))


def refusals(model: onnx.ModelProto) -> set[str]:
    return {f"{finding.qualified_op}: {normalized(finding.reason)}" for finding in check_model(model)}


def imported(
    model: onnx.ModelProto, inputs: Sequence[np.ndarray], context: LaminaContext
) -> tuple[ModuleOp | None, list[np.ndarray], set[str]]:
    """The module and its inputs (small ones become constants where that helps), or why there is none."""
    try:
        return import_model(model, context), list(inputs), set()
    except LaminaError:
        if not refusals(model):
            raise
    if any(not value.type.HasField("tensor_type") for value in model.graph.input):
        return None, [], refusals(model)
    fixed, rest = frozen(model, inputs)
    found = refusals(fixed)
    return (None, [], found) if found else (import_model(fixed, context), rest, set())


def run_case(model: onnx.ModelProto, case) -> set[str]:
    """Check the results of a case; the reasons for which it is refused instead."""
    for inputs, expected in data_sets(case):
        context = LaminaContext()
        module, arrays, found = imported(model, inputs, context)
        if module is None:
            return found
        module.verify()
        results = evaluate(module, arrays, context.resources)
        assert len(results) == len(expected)
        for result, wanted in zip(results, expected, strict=True):
            assert_close(result, wanted, case)
    return set()


def assert_close(result: np.ndarray, wanted: np.ndarray, case) -> None:
    assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
    if result.dtype.kind in "biu":
        np.testing.assert_array_equal(result, wanted)
        return
    rtol = max(case.rtol, LOW_PRECISION.get(result.dtype.name, 0))
    rounding = np.finfo(np.float32).eps * np.abs(wanted).max() if case.name in CANCELLING else 0
    atol = max(case.atol, rounding)
    np.testing.assert_allclose(result.astype(np.float64), wanted.astype(np.float64), rtol=rtol, atol=atol)


def run_all(prepare: Callable[[onnx.ModelProto], onnx.ModelProto]) -> tuple[dict[str, str], set[str], int]:
    """Failures by case, all reasons for refusals, and how many cases passed."""
    failures: dict[str, str] = {}
    reasons: set[str] = set()
    passed = 0
    for case in all_cases():
        try:
            found = run_case(prepare(model_of(case)), case)
        except Exception as error:
            failures[case.name] = f"{type(error).__name__}: {error}".strip().replace("\n", " ")[:200]
            continue
        reasons |= found
        passed += not found
    return failures, reasons, passed


SECTIONS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "static": lambda model: model,
    "symbolic": with_symbolic_sizes,
}


def listed(section: str) -> set[str]:
    sections = re.split(r"^\[(\w+)\]$", LIST.read_text(), flags=re.MULTILINE)
    contents = dict(zip(sections[1::2], sections[2::2], strict=True))
    return {line for line in contents[section].splitlines() if line}


@pytest.mark.parametrize(("section", "least"), [("static", 1500), ("symbolic", 1400)])
def test_backend_suite(section: str, least: int) -> None:
    failures, reasons, passed = run_all(SECTIONS[section])
    assert not failures, "\n".join(f"{name}: {problem}" for name, problem in failures.items())
    assert reasons == listed(section)
    assert passed >= least


def write_list() -> None:
    lines: list[str] = []
    for section, prepare in SECTIONS.items():
        failures, reasons, passed = run_all(prepare)
        lines += [f"[{section}]", *sorted(reasons), ""]
        print(section, "passed", passed, "refused for", len(reasons), "reasons")
        for name, problem in failures.items():
            print(f"  {name}: {problem}")
    LIST.write_text("\n".join(lines))


if __name__ == "__main__":
    sys.exit(write_list())
