"""The interpreter on what only some devices have: matrix fragments, tiles of them, asynchronous copies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from lamina import api
from lamina.diagnostics import LaminaError
from lamina.targets.gpu.checking_driver import CheckingDriver
from lamina.targets.gpu.launcher import Program
from support import models
from support.gpu_products import compile_scheduled, traced
from support.interpreted import kinds, run_kernel
from support.product_cases import Case, edited, product

SMALL = edited(block=(32, 32, 32), warp=(32, 16))


def checked(case: Case, folder: Path, target: str, **options: Any) -> CheckingDriver:
    """Compile a product for a target, run it as it is, and compare."""
    module, context = traced(case.function, *case.specs)
    compile_scheduled(module, context, folder, target, **options)
    return again(case, folder, bool(options.get("tf32")))


def again(case: Case, folder: Path, tf32: bool = False) -> CheckingDriver:
    driver = CheckingDriver(folder, api.make_context())
    (found,) = Program(folder, driver)(**case.feeds).values()
    if not driver.findings:
        case.check(found, tf32=tf32)
    return driver


PRODUCTS: Mapping[str, tuple[str, Case, Mapping[str, Any]]] = {
    "f16": ("ptx:sm_80", product(40, 64, 24, "f16"), {}),
    "bf16, transposed": ("ptx:sm_80", product(40, 64, 24, "bf16", turn=(True, True)), {"edit": SMALL}),
    "odd sizes": ("ptx:sm_80", product(19, 37, 21, "f16"), {"edit": SMALL}),
    "tf32": ("ptx:sm_80", product(40, 48, 24, "f32"), {"tf32": True}),
    "f64": ("ptx:sm_90", product(40, 48, 24, "f64"), {}),
    "sm_75": ("ptx:sm_75", product(40, 48, 24, "f16"), {}),
    "mfma f16": ("amdgcn:gfx90a", product(40, 48, 24, "f16"), {}),
    "mfma f32": ("amdgcn:gfx90a", product(40, 48, 24, "f32"), {}),
    "mfma f64": ("amdgcn:gfx942", product(40, 48, 24, "f64"), {}),
    "mfma 32": (
        "amdgcn:gfx942",
        product(64, 48, 64, "bf16"),
        {"edit": edited(block=(64, 64, 32), warp=(32, 32), fragment=(32, 32, 8))},
    ),
    "wmma": ("amdgcn:gfx1100", product(40, 48, 24, "bf16"), {"edit": SMALL}),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_fragments(name: str, tmp_path: Path) -> None:
    target, case, options = PRODUCTS[name]
    driver = checked(case, tmp_path, target, **options)
    assert not driver.findings, "\n".join(map(str, driver.findings))
    ops = {"ptx": "nvgpu.mma.sync", "amdgcn": "amdgpu.wmma" if name == "wmma" else "amdgpu.mfma"}
    assert ops[target.partition(":")[0]] in (tmp_path / "host.mlir").read_text()


@pytest.mark.parametrize("target", ["ptx:sm_90", "amdgcn:gfx942"])
@pytest.mark.parametrize("name", ["bert_base_small", "lstm_small"])
def test_folders_of_every_target_are_checked_as_they_are(name: str, target: str, tmp_path: Path) -> None:
    model = models.named(name)
    context = api.make_context()
    api.compile_for_gpu(api.load_module(model, context), context, tmp_path, target)
    feeds = models.random_feeds(model, {})
    driver = CheckingDriver(tmp_path, api.make_context())
    found = Program(tmp_path, driver)(**feeds)
    assert not driver.findings, "\n".join(map(str, driver.findings))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    for output, expected in zip(names, session.run(names, feeds), strict=True):
        limit = 1e-5 * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found[output], expected, rtol=1e-5, atol=limit)


def test_copies_that_nobody_waits_for_are_races(tmp_path: Path) -> None:
    """The wait ahead of the product lets one more group go on: what it reads may not have come."""
    case = product(40, 160, 24, "f16")
    assert not checked(case, tmp_path, "ptx:sm_80", edit=SMALL).findings
    host = tmp_path / "host.mlir"
    text = host.read_text()
    (pending,) = {int(one) for one in re.findall(r"async_wait %\w+ \{numGroups = (\d+)", text)} - {0}
    host.write_text(text.replace(f"numGroups = {pending} : i32", f"numGroups = {pending + 1} : i32"))
    findings = again(case, tmp_path).findings
    assert kinds(findings) == {"race"}
    assert any("copies and has not waited for it" in one.message for one in findings)
    assert {"nvgpu.ldmatrix"} == {one.op for one in findings}


def test_a_barrier_that_is_missing_behind_a_wait(tmp_path: Path) -> None:
    """Each thread has waited for its own copies, and reads those of others."""
    case = product(40, 160, 24, "f16")
    checked(case, tmp_path, "ptx:sm_80", edit=SMALL)
    host = tmp_path / "host.mlir"
    text, count = re.subn(r"(nvgpu\.device_async_wait [^\n]*\n\s*)gpu\.barrier", r"\1", host.read_text(), count=1)
    assert count == 1
    host.write_text(text)
    findings = again(case, tmp_path).findings
    assert kinds(findings) == {"race"} and any("no barrier in between" in one.message for one in findings)


COPY = """
gpu.module @kernels {
  gpu.func @copy(%x: memref<?xf32>, %y: memref<?xf32>) workgroup(%s : memref<128xf32, #gpu.address_space<workgroup>>) kernel {
    %c0 = arith.constant 0 : index
    %c2 = arith.constant 2 : index
    %c4 = arith.constant 4 : index
    %t = gpu.thread_id x
    %i = arith.muli %t, %c4 : index
    %a = nvgpu.device_async_copy %x[%i], %s[%i], 4, %c2 {bypassL1} : memref<?xf32> to memref<128xf32, #gpu.address_space<workgroup>>
    %g = nvgpu.device_async_create_group %a
    nvgpu.device_async_wait %g {numGroups = 0 : i32}
    %v = vector.load %s[%i] : memref<128xf32, #gpu.address_space<workgroup>>, vector<4xf32>
    vector.store %v, %y[%i] : memref<?xf32>, vector<4xf32>
    gpu.return
  }
}"""


def test_copies_of_fewer_elements_give_zeros() -> None:
    x, y = np.arange(128, dtype=np.float32), np.full(128, np.nan, np.float32)
    assert not run_kernel(COPY, 1, 32, [x, y])
    expected = x.reshape(32, 4) * [1, 1, 0, 0]
    np.testing.assert_array_equal(y, expected.ravel())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("nvgpu.device_async_wait %g {numGroups = 0 : i32}\n", "\n"), "reads byte 0 of workgroup buffer"),
        (("numGroups = 0", "numGroups = 1"), "reads byte 0 of workgroup buffer"),
        (("%v = vector.load %s[%i]", "%v = vector.load %s[%c0]"), "with no barrier in between"),
    ],
)
def test_mistakes_with_copies(change: tuple[str, str], message: str) -> None:
    findings = run_kernel(COPY.replace(*change), 1, 32, [np.zeros(128, np.float32), np.full(128, np.nan, np.float32)])
    assert kinds(findings) == {"race"} and message in findings[0].message


def test_two_copies_to_one_place() -> None:
    """The second begins while the first may go on; so does a store."""
    twice = COPY.replace("%g = nvgpu", "%b = nvgpu.device_async_copy %x[%c0], %s[%i], 4 {bypassL1} : memref<?xf32> to "
                         "memref<128xf32, #gpu.address_space<workgroup>>\n%g = nvgpu")  # fmt: skip
    (finding,) = run_kernel(twice, 1, 32, [np.zeros(128, np.float32), np.full(128, np.nan, np.float32)])
    assert finding.kind == "race" and "copies to byte 0" in finding.message


def test_reads_of_copies_outside_of_the_source() -> None:
    findings = run_kernel(COPY, 1, 32, [np.zeros(120, np.float32), np.full(128, np.nan, np.float32)])
    assert "out of bounds" in kinds(findings) and findings[0].op == "nvgpu.device_async_copy"


PRODUCT = """
gpu.module @kernels {
  gpu.func @product(%x: memref<?xf32>) kernel {
    %l = arith.constant dense<1.0> : vector<4x2xf16>
    %r = arith.constant dense<2.0> : vector<2x2xf16>
    %z = arith.constant dense<0.5> : vector<2x2xf32>
    %t = gpu.thread_id x
    %few = arith.constant 24 : index
    %some = arith.cmpi ult, %t, %few : index
    OPEN
    %d = nvgpu.mma.sync(%l, %r, %z) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
    %e = vector.extract %d[1, 1] : f32 from vector<2x2xf32>
    memref.store %e, %x[%t] : memref<?xf32>
    CLOSE
    gpu.return
  }
}"""


def test_lanes_that_do_not_come_to_a_product() -> None:
    x = np.zeros(32, np.float32)
    assert not run_kernel(PRODUCT.replace("OPEN", "").replace("CLOSE", ""), 1, 32, [x])
    np.testing.assert_array_equal(x, 32.5)
    findings = run_kernel(PRODUCT.replace("OPEN", "scf.if %some {").replace("CLOSE", "}"), 1, 32, [x])
    assert kinds(findings) == {"divergence"} and "24 of 32 lanes come to a product" in findings[0].message
    with pytest.raises(LaminaError, match="takes whole warps of 32 threads, a block has 16"):
        run_kernel(PRODUCT.replace("OPEN", "").replace("CLOSE", ""), 1, 16, [x])
