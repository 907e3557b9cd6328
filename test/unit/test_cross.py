"""Code for AArch64, run: linked with a driver by a cross compiler and run by QEMU, thread pool and all."""

from pathlib import Path

import numpy as np
import pytest

from lamina import api
from lamina.artefact import Artefact
from lamina.interface import donate
from lamina.parser import parse_text
from lamina.targets.cpu.named_targets import CPU_TARGETS
from support import cross, models
from support.gpu_cases import PROGRAMS, assert_equals
from support.oracles import assert_as_accurate_as_onnxruntime

pytestmark = pytest.mark.skipif(bool(cross.missing_tools()), reason=cross.missing_tools() or "all is there")

ARM = tuple(name for name, fields in CPU_TARGETS.items() if str(fields["triple"]).startswith("aarch64"))
MODELS = (
    "mlp",
    "lenet",
    "resnet50_small",
    "mobilenet_v2_small",
    "unet_resize_small",
    "unet_transposed_small",
    "bert_base_small",
    "gpt2_small_symbolic",
    "gpt2_decode_small",
    "vit_b16_small",
    "llama_block_small",
    "lstm_small",
)
SIZES = {"batch": 2, "sequence": 7}


def compiled(module, context, folder: Path, target: str) -> Artefact:
    api.compile_to_artefact(module, context, folder / "model.lamina", target=target)
    return Artefact.load(folder / "model.lamina")


@pytest.mark.parametrize("name", MODELS)
def test_models_are_as_accurate_as_onnxruntime(name, tmp_path):
    """Each named target in its turn, on two threads; on one thread the same bits."""
    target = ARM[MODELS.index(name) % len(ARM)]
    model = models.named(name)
    context = api.make_context()
    artefact = compiled(api.load_module(model, context), context, tmp_path, target)
    feeds = models.random_feeds(model, SIZES)
    outputs = cross.run(artefact, feeds, tmp_path, threads=2)
    assert_as_accurate_as_onnxruntime(outputs, model, feeds)
    for one, other in zip(cross.run(artefact, feeds, tmp_path, threads=1), outputs, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_op_equals_its_reference(program, tmp_path):
    context = api.make_context()
    module = program.module(context)
    expected = list(program.expected(module, context))
    artefact = compiled(module, context, tmp_path, ARM[PROGRAMS.index(program) % len(ARM)])
    feeds = {info.name: array for info, array in zip(artefact.manifest.inputs, program.inputs, strict=True)}
    for own, reference in zip(cross.run(artefact, feeds, tmp_path, threads=2), expected, strict=True):
        assert_equals(own, reference, program.tolerance)


TWO_SIZES = """
func.func @main(%x: tensor<?x3xf32> {lamina.name = "x", lamina.dims = ["n", "3"]},
                %y: tensor<?x3xf32> {lamina.name = "y", lamina.dims = ["m", "3"]})
    -> (tensor<?x3xf32> {lamina.name = "z", lamina.dims = ["n", "3"]}) {
  %z = graph.add %x, %y : tensor<?x3xf32>
  func.return %z : tensor<?x3xf32>
}
"""


def test_sizes_that_do_not_fit_are_refused_by_the_code(tmp_path):
    context = api.make_context()
    artefact = compiled(parse_text(context, TWO_SIZES, "two.mlir"), context, tmp_path, "aarch64")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (z,) = cross.run(artefact, {"x": x, "y": x}, tmp_path)
    np.testing.assert_array_equal(z, x + x)
    with pytest.raises(RuntimeError, match="error 1: "):
        cross.run(artefact, {"x": x, "y": np.ones((5, 3), np.float32)}, tmp_path)


def test_results_in_the_storage_of_inputs(tmp_path):
    context = api.make_context()
    module = parse_text(context, TWO_SIZES, "two.mlir")
    donate(module, {"x": "z"})
    artefact = compiled(module, context, tmp_path, "aarch64")
    assert [info.alias for info in artefact.manifest.outputs] == [0]
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (z,) = cross.run(artefact, {"x": x, "y": np.ones_like(x)}, tmp_path)
    np.testing.assert_array_equal(z, x + 1)
