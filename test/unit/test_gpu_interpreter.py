"""The interpreter of kernels: seeded mistakes are found where they are, and our own kernels have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import lamina
from lamina import api, ops
from lamina.diagnostics import LaminaError
from lamina.targets.gpu.checking_driver import CheckingDriver
from lamina.targets.gpu.launcher import Program
from lamina.tools.lamina_main import main
from support import models
from support.interpreted import kinds, run_kernel

SHARED = "memref<64xf32, #gpu.address_space<workgroup>>"
REVERSE = f"""
gpu.module @kernels {{
  gpu.func @reverse(%x: memref<?xf32>, %y: memref<?xf32>) workgroup(%s : {SHARED}) kernel {{
    %c1 = arith.constant 1 : index
    %c63 = arith.constant 63 : index
    %t = gpu.thread_id x
    %b = gpu.block_id x
    %c64 = arith.constant 64 : index
    %first = arith.muli %b, %c64 : index
    %i = arith.addi %first, %t : index
    %v = memref.load %x[%i] : memref<?xf32>
    memref.store %v, %s[%t] : {SHARED}
    gpu.barrier
    %r = arith.subi %c63, %t : index
    %w = memref.load %s[%r] : {SHARED}
    memref.store %w, %y[%i] : memref<?xf32>
    gpu.return
  }}
}}"""


def test_a_kernel_without_mistakes():
    x, y = np.arange(192, dtype=np.float32), np.full(192, np.nan, np.float32)
    assert not run_kernel(REVERSE, 3, 64, [x, y])
    np.testing.assert_array_equal(y, x.reshape(3, 64)[:, ::-1].ravel())


@pytest.mark.parametrize("seed", range(5))
def test_a_missing_barrier_is_a_race(seed: int):
    x = np.arange(64, dtype=np.float32)
    (finding,) = run_kernel(REVERSE.replace("gpu.barrier", ""), 1, 64, [x, np.full(64, np.nan, np.float32)], seed=seed)
    assert finding.kind == "race" and finding.op == "memref.load" and finding.kernel == "reverse"
    assert finding.where is not None and finding.where.startswith("kernel.mlir:15")
    assert "with no barrier in between" in finding.message


def test_a_barrier_between_other_accesses_does_not_help():
    """Written again before everybody has read."""
    again = REVERSE.replace("gpu.return", f"memref.store %w, %s[%t] : {SHARED}\ngpu.return")
    x = np.arange(64, dtype=np.float32)
    assert kinds(run_kernel(again, 1, 64, [x, np.full(64, np.nan, np.float32)])) == {"race"}
    fine = again.replace("memref.store %w, %s[%t]", "gpu.barrier\nmemref.store %w, %s[%t]")
    assert not run_kernel(fine, 1, 64, [x, np.full(64, np.nan, np.float32)])


def test_blocks_that_share_global_memory_race_whatever_barriers_there_are():
    """Every block reverses the same 64 elements in place."""
    text = REVERSE.replace("%first = arith.muli %b, %c64 : index", "%first = arith.subi %c64, %c64 : index")
    x = np.arange(64, dtype=np.float32)
    findings = run_kernel(text, 2, 64, [x, np.full(64, np.nan, np.float32)])
    assert kinds(findings) == {"race"} and findings[0].op == "memref.store"
    assert not run_kernel(text, 1, 64, [x, np.full(64, np.nan, np.float32)])


def test_threads_that_write_to_one_place_race_and_atomics_do_not():
    text = """
gpu.module @kernels {
  gpu.func @count(%x: memref<?xf32>, %y: memref<?xf32>) kernel {
    %c0 = arith.constant 0 : index
    %t = gpu.thread_id x
    %v = memref.load %x[%t] : memref<?xf32>
    WRITE
    gpu.return
  }
}"""
    atomic = "%old = memref.atomic_rmw addf %v, %y[%c0] : (f32, memref<?xf32>) -> f32"
    x, y = np.arange(32, dtype=np.float32), np.zeros(1, np.float32)
    assert not run_kernel(text.replace("WRITE", atomic), 3, 32, [x, y])
    assert y[0] == 3 * x.sum()
    plain = "memref.store %v, %y[%c0] : memref<?xf32>"
    assert kinds(run_kernel(text.replace("WRITE", plain), 1, 32, [x, y])) == {"race"}
    assert kinds(run_kernel(text.replace("WRITE", atomic + "\n" + plain), 1, 32, [x, y])) == {"race"}
    assert not run_kernel(text.replace("WRITE", plain), 1, 1, [x, y])


def test_results_of_collisions_depend_on_the_seed():
    """Threads come in random order: a kernel that relies on one gives different results."""
    text = """
gpu.module @kernels {
  gpu.func @last(%x: memref<?xf32>, %y: memref<?xf32>) kernel {
    %c0 = arith.constant 0 : index
    %t = gpu.thread_id x
    %v = memref.load %x[%t] : memref<?xf32>
    memref.store %v, %y[%c0] : memref<?xf32>
    gpu.return
  }
}"""
    found = set()
    for seed in range(8):
        x, y = np.arange(32, dtype=np.float32), np.zeros(1, np.float32)
        run_kernel(text, 1, 32, [x, y], seed=seed)
        found.add(float(y[0]))
    assert len(found) > 3


def test_a_barrier_that_some_threads_do_not_reach():
    divergent = REVERSE.replace("gpu.barrier", "%few = arith.cmpi ult, %t, %c63 : index\nscf.if %few {\ngpu.barrier\n}")
    x = np.arange(64, dtype=np.float32)
    findings = run_kernel(divergent, 2, 64, [x.repeat(2), np.full(128, np.nan, np.float32)])
    assert "divergence" in kinds(findings)
    (found,) = [one for one in findings if one.kind == "divergence"]
    assert found.op == "gpu.barrier" and "63 of 64 threads of block" in found.message


def test_a_barrier_that_whole_blocks_skip_is_fine():
    text = REVERSE.replace("gpu.barrier", "%one = arith.cmpi ult, %b, %c1 : index\nscf.if %one {\ngpu.barrier\n}")
    x = np.arange(64, dtype=np.float32)
    assert not run_kernel(text, 1, 64, [x, np.full(64, np.nan, np.float32)])
    assert kinds(run_kernel(text, 2, 64, [x.repeat(2), np.full(128, np.nan, np.float32)])) == {"race"}


def test_accesses_outside_of_a_buffer():
    x, y = np.arange(60, dtype=np.float32), np.full(64, np.nan, np.float32)
    findings = run_kernel(REVERSE, 1, 64, [x, y])
    assert kinds(findings) == {"out of bounds"}
    assert "thread 60 of block 0 is at 60 of 60 along axis 0" in findings[0].message
    low = REVERSE.replace("%r = arith.subi %c63, %t", "%r = arith.subi %c1, %t")
    findings = run_kernel(low, 1, 64, [np.arange(64, dtype=np.float32), y])
    assert any("is at -1 of 64" in one.message for one in findings)


def test_shared_memory_that_nobody_has_written():
    text = REVERSE.replace("memref.store %v, %s[%t]", "%half = arith.divui %t, %c2 : index\nmemref.store %v, %s[%half]")
    text = text.replace("%c1 = arith", "%c2 = arith.constant 2 : index\n    %c1 = arith")
    x = np.arange(64, dtype=np.float32)
    found = kinds(run_kernel(text, 1, 64, [x, np.full(64, np.nan, np.float32)]))
    assert found == {"race", "uninitialized"}
    assert kinds(run_kernel(REVERSE, 1, 64, [np.full(64, np.nan, np.float32)] * 2)) == {"uninitialized"}


def test_loops_of_different_lengths_and_vectors():
    """Each thread sums as many elements as its number, four at a time; the rest alone."""
    text = """
gpu.module @kernels {
  gpu.func @sums(%x: memref<?xf32>, %y: memref<?xf32>) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %zero = arith.constant 0.0 : f32
    %t = gpu.thread_id x
    %whole = arith.divui %t, %c4 : index
    %even = arith.muli %whole, %c4 : index
    %s = scf.for %i = %c0 to %even step %c4 iter_args(%a = %zero) -> (f32) {
      %v = vector.load %x[%i] : memref<?xf32>, vector<4xf32>
      %r = vector.reduction <add>, %v : vector<4xf32> into f32
      %n = arith.addf %a, %r : f32
      scf.yield %n : f32
    }
    %all = scf.for %i = %even to %t step %c1 iter_args(%a = %s) -> (f32) {
      %v = memref.load %x[%i] : memref<?xf32>
      %n = arith.addf %a, %v : f32
      scf.yield %n : f32
    }
    memref.store %all, %y[%t] : memref<?xf32>
    gpu.return
  }
}"""
    x, y = np.arange(40, dtype=np.float32), np.full(40, np.nan, np.float32)
    assert not run_kernel(text, 1, 40, [x, y])
    np.testing.assert_array_equal(y, [x[:n].sum() for n in range(40)])


def checked(folder: Path, feeds: dict[str, Any]) -> dict[str, np.ndarray]:
    driver = CheckingDriver(folder, api.make_context())
    results = Program(folder, driver)(**feeds)
    assert not driver.findings, "\n".join(map(str, driver.findings))
    assert driver.launches
    return results


@pytest.mark.parametrize(
    "name", ["lenet", "bert_base_small_symbolic", "resnet50_small", "lstm_small", "gpt2_decode_small"]
)
def test_kernels_of_models_have_no_mistakes(name: str, tmp_path: Path):
    model = models.named(name)
    context = api.make_context()
    api.compile_for_gpu(api.load_module(model, context), context, tmp_path, "spirv")
    feeds = models.random_feeds(model, {"batch": 2, "sequence": 7}) if name != "lenet" else {
        "x": np.random.default_rng(0).standard_normal((1, 1, 28, 28)).astype(np.float32)
    }  # fmt: skip
    found = checked(tmp_path, feeds)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    for output, expected in zip(names, session.run(names, feeds), strict=True):
        limit = 1e-5 * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found[output], expected, rtol=1e-5, atol=limit)


FUNCTIONS = {
    "softmax": lambda x: ops.softmax(x),
    "sum": lambda x: x.sum(axis=0),
    "layer_norm": lambda x: ops.layer_norm(x, np.ones(70, np.float32), np.zeros(70, np.float32)),
    "product": lambda x: x @ x.transpose((1, 0)),
    "transpose": lambda x: x.transpose((1, 0)) + 1,
    "sort": lambda x: ops.sort(x),
    "cumulative": lambda x: ops.cumsum(x, axis=1),
    "gather": lambda x: x[np.array([3, 1, 3])],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernels_of_every_kind_have_no_mistakes(name: str, tmp_path: Path):
    traced = lamina.trace(FUNCTIONS[name], lamina.spec((37, 70), "f32", name="x"))
    api.compile_for_gpu(traced.module.clone(), traced.context, tmp_path, "spirv")
    x = np.random.default_rng(4).standard_normal((37, 70), dtype=np.float32)
    (found,) = checked(tmp_path, {"x": x}).values()
    (expected,) = lamina.compile(traced)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    traced = lamina.trace(lambda x: ops.softmax(x), lamina.spec(("rows", 70), "f32", name="x"))
    api.compile_for_gpu(traced.module.clone(), traced.context, tmp_path, "spirv")
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["gpu-check", str(tmp_path), "--dim", "rows=5"])
    assert "no mistakes found" in capsys.readouterr().out
    for option in ("--fix", "--donate"):
        with pytest.raises(SystemExit, match=r"^1$"):
            main(["gpu-check", str(tmp_path), option, "rows=5"])
        assert f"{option} is for models" in capsys.readouterr().err
    host = tmp_path / "host.mlir"
    host.write_text(host.read_text().replace("gpu.barrier\n", "\n", 1))
    with pytest.raises(SystemExit, match=r"^1$"):
        main(["gpu-check", str(tmp_path), "--dim", "rows=5"])
    assert "kernel 'softmax'" in capsys.readouterr().out


def test_what_cannot_be_checked_is_named():
    text = """
gpu.module @kernels {
  gpu.func @k(%x: memref<?xf32>) kernel {
    %c0 = arith.constant 0 : index
    %v = memref.load %x[%c0] : memref<?xf32>
    %w = math.erf %v : f32
    memref.store %w, %x[%c0] : memref<?xf32>
    gpu.return
  }
}"""
    with pytest.raises(LaminaError, match=r"kernel 'k': 'math\.erf' cannot be checked"):
        run_kernel(text, 1, 1, [np.zeros(1, np.float32)])
