"""Products by warpgroups and tensor maps: emulated against NumPy, native by ptxas, launched on a stand-in driver."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.utils.exceptions import ParseError, VerifyException

import lamina
from lamina import api, ops, pipelines, safetensors
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware import nvgpu_tma, nvgpu_warpgroup
from lamina.dialects.hardware.gpu_target import parse_gpu_target
from lamina.dialects.hardware.nvgpu_types import swizzled_chunk
from lamina.lowering.to_gpu_text import print_kernels
from lamina.lowering.to_gpu_text.code_generation import generate
from lamina.parser import parse_text
from lamina.targets.gpu.checking_driver import CheckingDriver
from lamina.targets.gpu.cuda import CudaDriver
from lamina.targets.gpu.driver import TensorMap, plain_arguments
from lamina.targets.gpu.executable import GpuExecutable
from lamina.targets.gpu.launcher import Program
from lamina.targets.gpu.ptxas import find_ptxas
from support.fake_cuda import FakeCuda
from support.gpu_products import compile_scheduled, traced
from support.marks import needs_opencl, needs_ptxas
from support.opencl import run_packages
from support.product_cases import WARPGROUP_CASES, product, random_array, turned, warpgroups, wide


@needs_opencl
def test_emulated_warpgroups(tmp_path: Path):
    """Both layouts of the right factor, batches, ragged edges, split sums, one and several warpgroups."""
    jobs = []
    for number, (case, options) in enumerate(WARPGROUP_CASES):
        module, context = traced(case.function, *case.specs)
        folder = tmp_path / str(number)
        (used,), _ = compile_scheduled(module, context, folder, "ptx:sm_90a", "spirv", **options)
        assert used.instruction == "wgmma"
        assert "xori" in (folder / "host.mlir").read_text()  # chunks are swizzled: no other schedule was taken
        jobs.append((folder, dict(case.feeds)))
    for (case, options), results in zip(WARPGROUP_CASES, run_packages(jobs, tmp_path), strict=True):
        (found,) = results.values()
        case.check(found, tf32=bool(options.get("tf32")))


@needs_opencl
def test_emulated_tf32_is_rounded_by_the_copies(tmp_path: Path):
    """To the nearest number of 10 bits, where matrix units alone would leave out the others; a NaN stays one."""
    given = np.array(
        [1 + 3 * 2.0**-12, 1 + 2.0**-12, -(1 + 2.0**-11), np.inf, np.finfo(np.float32).max, 1.5], np.float32
    )
    nan = np.array([0x7FFFFFFF], np.uint32).view(np.float32)
    a, b = np.zeros((64, 64), np.float32), np.eye(64, dtype=np.float32)
    a[:7, 0] = [*given, *nan]
    case = turned(64, 64, 64, "f32")
    module, context = traced(case.function, *case.specs)
    edit = warpgroups((64, 64), (64, 64), stages=2, each=4)
    compile_scheduled(module, context, tmp_path, "ptx:sm_90a", "spirv", edit=edit, tf32=True)
    (results,) = run_packages([(tmp_path, {"a": a, "b": b})], tmp_path)
    (found,) = results.values()
    expected = [1 + 2.0**-10, 1, -(1 + 2.0**-10), np.inf, np.inf, 1.5, np.nan]
    np.testing.assert_array_equal(found.reshape(64, 64)[:7, 0], np.array(expected, np.float32))


def test_emulated_warpgroups_have_no_races(tmp_path: Path):
    case = product(70, 72, 72, "bf16")
    module, context = traced(case.function, *case.specs)
    compile_scheduled(module, context, tmp_path, "ptx:sm_90a", "spirv", edit=warpgroups((64, 64), (64, 64)))
    driver = CheckingDriver(tmp_path, api.make_context())
    (found,) = Program(tmp_path, driver)(**case.feeds).values()
    assert not driver.findings, "\n".join(map(str, driver.findings))
    case.check(found)


REGISTERS = {(128, 256): 168, (128, 128): 96, (64, 128): 96, (64, 64): 96}
"""By block, the most that a thread may need: two or more blocks run at a time where sums are few."""


@needs_ptxas
@pytest.mark.parametrize(
    ("block", "dtype", "stages"),
    [
        ((128, 256), "bf16", 3),
        ((128, 128), "f16", 3),
        ((64, 128), "bf16", 3),
        # Exactly the 48 KiB that a kernel can declare, and barriers besides.
        ((64, 128), "bf16", 2),
        ((64, 64), "f16", 3),
    ],
)
def test_native_warpgroups_are_assembled(block: tuple[int, int], dtype: str, stages: int, tmp_path: Path):
    case = product(300, 520, 264, dtype)
    module, context = traced(case.function, *case.specs)
    edit = warpgroups(block, (64, block[1]), stages=stages)
    _, manifest = compile_scheduled(module, context, tmp_path, "ptx:sm_90a", edit=edit)
    (kernel,) = manifest["kernels"]
    check_native(tmp_path / kernel["file"], REGISTERS[block], f"m64n{block[1]}k16.f32.{dtype}.{dtype}")
    (launch,) = manifest["steps"]
    maps = [one for one in launch["arguments"] if isinstance(one, dict)]
    expected = {"dtype": {"f16": "float16", "bf16": "bfloat16"}[dtype], "swizzle": 128, "promotion": 128}
    assert maps == [
        {"tensor": ["input.a", 0], "sizes": [300, 520], "box": [block[0], 64], **expected},
        {"tensor": ["input.b", 0], "sizes": [520, 264], "box": [64, 64], **expected},
    ]


def check_native(path: Path, most: int, instruction: str) -> None:
    text = path.read_text()
    for needed in (f"wgmma.mma_async.sync.aligned.{instruction}", "cp.async.bulk.tensor", "mbarrier.try_wait.parity"):
        assert needed in text
    command = [str(find_ptxas()), "-arch=sm_90a", "-v", str(path), "-o", "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Copies find their tensor maps where the launch has put them: in the space of the parameters, not on a stack.
    assert "0 bytes stack frame" in done.stderr and "__local_depot" not in text and "cvta.param" in text
    assert "0 bytes spill stores, 0 bytes spill loads" in done.stderr
    # ptxas warns where products have to wait for each other.
    assert "warning" not in done.stderr.lower() and "serialized" not in done.stderr
    assert int(re.findall(r"(\d+) registers", done.stderr)[0]) <= most
    # What a kernel declares, gaps for alignment with it, has to fit where launches ask for nothing: ptxas takes more.
    assert all(int(size) <= 48 * 1024 for size in re.findall(r"(\d+) bytes smem", done.stderr))


@needs_ptxas
def test_native_tf32_is_assembled(tmp_path: Path):
    case = turned(300, 520, 264, "f32")
    module, context = traced(case.function, *case.specs)
    edit = warpgroups((128, 128), (64, 128), stages=3, each=4)
    _, manifest = compile_scheduled(module, context, tmp_path, "ptx:sm_90a", edit=edit, tf32=True)
    check_native(tmp_path / manifest["kernels"][0]["file"], 96, "m64n128k8.f32.tf32.tf32")
    maps = [one for one in manifest["steps"][0]["arguments"] if isinstance(one, dict)]
    assert [one["dtype"] for one in maps] == ["tf32", "tf32"]


EVERY_OP = """
!barriers = !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2>
!map = !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b,
  l2promo = l2promo_128b, oob = zero, interleave = none>
!factor = !nvgpu.warpgroup.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>>
!sums = !nvgpu.warpgroup.accumulator<fragmented = vector<64x64xf32>>

builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_90a"}} {
  gpu.module @kernels {
    gpu.func @every(%m: !map, %y: memref<64x64xf32>) workgroup(%s: memref<64x64xf16, #gpu.address_space<workgroup>>)
        kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %n = arith.constant 8192 : index
      %ticks = arith.constant 1000 : index
      %no = arith.constant false
      %t = gpu.thread_id x
      %p = arith.cmpi eq, %t, %0 : index
      %b = nvgpu.mbarrier.create -> !barriers
      nvgpu.tma.fence.descriptor %m : !map
      nvgpu.tma.prefetch.descriptor %m, predicate = %p : !map
      nvgpu.mbarrier.init %b[%0], %1, predicate = %p : !barriers
      nvgpu.mbarrier.init %b[%1], %n, predicate = %p : !barriers
      gpu.barrier
      nvgpu.mbarrier.arrive.expect_tx %b[%0], %n, predicate = %p : !barriers
      nvgpu.tma.async.load %m[%0, %0], %b[%0] to %s, predicate = %p
        : !map, !barriers -> memref<64x64xf16, #gpu.address_space<workgroup>>
      nvgpu.mbarrier.try_wait.parity %b[%0], %no, %ticks : !barriers
      %d = nvgpu.warpgroup.generate.descriptor %s, %m : memref<64x64xf16, #gpu.address_space<workgroup>>, !map -> !factor
      %c = nvgpu.warpgroup.mma.init.accumulator -> !sums
      %r = nvgpu.warpgroup.mma %d, %d, %c {waitGroup = 0 : i64, transposeB} : !factor, !factor, !sums -> !sums
      nvgpu.warpgroup.mma.store %r, %y : !sums to memref<64x64xf32>
      %token = nvgpu.mbarrier.arrive %b[%1] : !barriers -> !nvgpu.mbarrier.token
      %over = nvgpu.mbarrier.test.wait %b[%1], %token : !barriers, !nvgpu.mbarrier.token
      nvgpu.mbarrier.arrive.expect_tx %b[%1], %0, predicate = %over : !barriers
      nvgpu.tma.async.store %s to %m[%0, %0], predicate = %p : memref<64x64xf16, #gpu.address_space<workgroup>> -> !map
      gpu.return
    }
  }
}
"""
INSTRUCTIONS = {
    "nvgpu.mbarrier.init": "mbarrier.init.",
    "nvgpu.mbarrier.arrive": "mbarrier.arrive.shared::cta.b64 %",
    "nvgpu.mbarrier.arrive.expect_tx": "mbarrier.arrive.expect_tx.",
    "nvgpu.mbarrier.test.wait": "mbarrier.test_wait.",
    "nvgpu.mbarrier.try_wait.parity": "mbarrier.try_wait.parity.",
    "nvgpu.tma.fence.descriptor": "fence.proxy.tensormap::generic.acquire.sys",
    "nvgpu.tma.prefetch.descriptor": "prefetch.tensormap",
    "nvgpu.tma.async.load": "cp.async.bulk.tensor.2d.shared::cluster.global",
    "nvgpu.tma.async.store": "cp.async.bulk.tensor.2d.global.shared::cta",
    "nvgpu.warpgroup.mma": "wgmma.mma_async",
    "nvgpu.warpgroup.mma.store": "st.global",
}
"""By op, what it becomes; others are values."""


@needs_ptxas
def test_every_op_is_assembled(tmp_path: Path):
    path = tmp_path / "every.mlir"
    path.write_text(EVERY_OP)
    context = api.make_context()
    module = api.load_module(path, context)
    pipelines.run_passes(module, context, ["expand-gpu-fragments"])
    ((code,), _) = generate(print_kernels(module), parse_gpu_target("ptx:sm_90a"))
    ptx = code.text
    values = {"nvgpu.mbarrier.create", "nvgpu.warpgroup.generate.descriptor", "nvgpu.warpgroup.mma.init.accumulator"}
    ours = {op.name for op in (*nvgpu_tma.OPS, *nvgpu_warpgroup.OPS)} - values - {"nvgpu.tma.create.descriptor"}
    assert set(INSTRUCTIONS) == ours
    for name, instruction in INSTRUCTIONS.items():
        assert instruction in ptx, name
    # fence.proxy.tensormap is of PTX 8.3.
    major, minor = re.findall(r"\.version (\d+)\.(\d+)", ptx)[0]
    assert (int(major), int(minor)) >= (8, 3)
    # Whoever has written fences; then all meet, and one copies.
    order = ("\nfence.proxy.async.shared::cta;", "\nbarrier.sync 0;", "@p cp.async.bulk.tensor.2d.global")
    fenced, met, copied = (ptx.index(one) for one in order)
    assert fenced < met < copied
    (tmp_path / "every.ptx").write_text(ptx)
    command = [str(find_ptxas()), "-arch=sm_90a", "-v", str(tmp_path / "every.ptx"), "-o", "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 bytes stack frame" in done.stderr and "warning" not in done.stderr.lower()


def test_defaults(tmp_path: Path):
    """Warpgroups for large products of 16-bit factors that tensor maps can describe, warps for all others."""
    expected = {
        (4096, 4096, 4096): ("wgmma", (128, 256, 64)),
        (2048, 512, 1536): ("wgmma", (128, 128, 64)),
        (4096, 4100, 4096): ("mma", (128, 128, 32)),  # lines of 8200 bytes
        (16, 4096, 4096): ("mma", (16, 64, 64)),
    }
    for number, ((m, k, n), wanted) in enumerate(expected.items()):
        specs = [lamina.spec((m, k), "bf16", name="a"), lamina.spec((k, n), "bf16", name="b")]
        module, context = traced(ops.matmul, *specs)
        (used,), _ = compile_scheduled(module, context, tmp_path / str(number), "ptx:sm_90a")
        assert (used.instruction, used.block) == wanted, (m, k, n)


@needs_opencl
def test_factors_that_start_anywhere_are_loaded_by_threads(tmp_path: Path):
    """A schedule by warpgroups, but a factor is a part of a buffer: the kernel has no tensor map."""
    a, b = random_array((3, 65, 72), "bf16", 1), random_array((72, 64), "bf16", 2)
    a_odd = a.reshape(-1)[: 2 * 65 * 72 + 4].copy()

    def function(x: Any, b: Any) -> Any:
        part = x[4:].reshape((130, 72))
        return ops.matmul(part, b)

    specs = [lamina.spec(a_odd.shape, "bf16", name="x"), lamina.spec(b.shape, "bf16", name="b")]
    module, context = traced(function, *specs)
    edit = warpgroups((64, 64), (64, 64))
    compile_scheduled(module, context, tmp_path, "ptx:sm_90a", "spirv", edit=edit)
    (results,) = run_packages([(tmp_path, {"x": a_odd, "b": b})], tmp_path)
    (found,) = results.values()
    expected = wide(a_odd[4:].reshape(130, 72)) @ wide(b)
    np.testing.assert_allclose(wide(found.view(b.dtype).reshape(130, 64)), expected, rtol=0.02, atol=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fragment": (64, 64, 16)},
            "its schedule has fragment m = 64, n = 64; warpgroups take 64 and warp n, up to 256",
        ),
        ({"block": (512, 128, 64), "stages": 2}, "its schedule has blocks of 512 and 128, a tensor map has 256"),
        ({"block": (128, 128, 32)}, "its schedule has block k = 32, wgmma takes 128 bytes"),
        (
            {"block": (128, 96, 64), "warp": (64, 96), "fragment": (64, 96, 16)},
            "its schedule has block n = 96; wgmma takes multiples of 64 where the right factor's rows are contiguous",
        ),
        (
            {"block": (64, 192, 64), "warp": (64, 96), "fragment": (64, 96, 16)},
            "its schedule has warp n = 96; wgmma takes multiples of 64 where the right factor's rows are contiguous",
        ),
        ({"stages": 8}, r"kernel 'dot_general_add_relu' needs \d+ bytes of shared memory, ptx:sm_90a has 232448"),
    ],
)
def test_impossible_schedules_are_refused(changes: dict[str, Any], message: str, tmp_path: Path):
    case = product(256, 256, 256, "bf16")
    module, context = traced(case.function, *case.specs)
    with pytest.raises(LaminaError, match=message):
        compile_scheduled(
            module,
            context,
            tmp_path,
            "ptx:sm_90a",
            edit=lambda given: replace(warpgroups((128, 128), (64, 128))(given), **changes),
        )


INVALID_TYPES = {
    "!nvgpu.tensormap.descriptor<tensor = memref<64x64xf16>, REST>": "expected a tensor in memory space",
    "!nvgpu.tensormap.descriptor<tensor = memref<512x64xf16, SPACE>, REST>": "expected 1 to 256 elements along every axis",
    "!nvgpu.tensormap.descriptor<tensor = memref<1x1x1x1x1x64xf16, SPACE>, REST>": "expected 1 to 5 axes, found 6",
    "!nvgpu.tensormap.descriptor<tensor = memref<64xf16, SPACE>, swizzle = none>": "expected l2promo",
    "!nvgpu.tensormap.descriptor<tensor = memref<64xf16, SPACE>, swizzle = wide, l2promo = none, oob = zero,"
    " interleave = none>": "swizzle_128b as swizzle, found wide",
    "!nvgpu.tensormap.descriptor<tensor = memref<64xf16, SPACE>, swizzle = none, l2promo = none, oob = zero,"
    " interleave = interleave_16b>": "interleaved tensor maps are not supported",
    "!nvgpu.warpgroup.accumulator<fragmented = vector<32x128xf32>>": "expected a multiple of 64 rows",
    "!nvgpu.warpgroup.accumulator<fragmented = vector<64x100xf32>>": "a multiple of 8 columns up to 256",
    "!nvgpu.mbarrier.group<memorySpace = 1>": "expected barriers in memory space",
    "!nvgpu.warpgroup.descriptor<tensor = memref<2x64x64xf16, SPACE>>": "expected a matrix in memory space",
}


@pytest.mark.parametrize("text", INVALID_TYPES)
def test_types_that_no_hardware_has_are_refused(text: str):
    """As in every type, the message is the parser's, which has no place for `expected-error`."""
    rest = "swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none"
    type_ = text.replace("SPACE", "#gpu.address_space<workgroup>").replace("REST", rest)
    with pytest.raises((ParseError, VerifyException), match=re.escape(INVALID_TYPES[text])):
        parse_text(api.make_context(), f"func.func private @f({type_})", "types.mlir")


# The driver

WEIGHT = np.zeros(4, np.float32)
MANIFEST: dict[str, Any] = {
    "format": 1,
    "target": {"kind": "ptx", "architecture": "sm_90a"},
    "inputs": [{"name": "x", "dtype": "float16", "shape": ["rows", 24]}],
    "outputs": [{"name": "y", "dtype": "int64", "shape": [16]}],
    "constants": [],
    "workspace": 0,
    "kernels": [{"name": "show", "file": "show.ptx", "threads": 128, "shared_memory": 64, "source": "model.onnx:mul"}],
    "planning": [],
    "steps": [
        {
            "kind": "launch", "kernel": "show", "grid": 1, "threads": 128,
            "arguments": [
                ["output.y", 0],
                {"tensor": ["input.x", 0], "dtype": "float16", "sizes": ["rows", 24], "box": [128, 64], "swizzle": 128,
                 "promotion": 128},
                "rows",
            ],
        },
    ],
}  # fmt: skip


def show(blocks: int, threads: int, values: Any) -> None:
    """y = the numbers of the tensor map."""
    import ctypes

    y, numbers, _ = values
    ctypes.memmove(y, (ctypes.c_uint64 * 16)(*numbers), 128)


show.arguments, show.maps = 3, (1,)


def package(folder: Path, manifest: dict[str, Any]) -> Path:
    (folder / "show.ptx").write_text("// code")
    safetensors.write(folder / "constants.safetensors", {})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_the_driver_encodes_tensor_maps(tmp_path: Path):
    """The fastest axis first, steps in bytes, 128 bytes that start at a multiple of 128 among a launch's parameters."""
    fake = FakeCuda({"show": show})
    executable = GpuExecutable(package(tmp_path, MANIFEST), CudaDriver(bindings=fake, encode=fake.encode))
    for rows in (300, 7, 300):
        (numbers,) = executable(np.zeros((rows, 24), np.float16))
        address, *rest = numbers.tolist()
        assert address % 16 == 0 and rest[:8] == [6, 2, 3, 2, 24, rows, 64, 128]
    _, kind, rank, _, sizes, strides, box, steps, *_ = fake.named("map")[0]
    assert (kind, rank, sizes, strides, box, steps) == (6, 2, [24, 300], [48], [64, 128], [1, 1])
    # A recorded launch keeps its own copy, so that nothing is encoded again.
    assert len(fake.named("map")) == 2


def test_tensor_maps_of_tf32_round(tmp_path: Path):
    manifest = json.loads(json.dumps(MANIFEST))
    manifest["inputs"][0]["dtype"] = "float32"
    manifest["steps"][0]["arguments"][1] |= {"dtype": "tf32", "box": [128, 32]}
    fake = FakeCuda({"show": show})
    executable = GpuExecutable(package(tmp_path, manifest), CudaDriver(bindings=fake, encode=fake.encode))
    executable(np.zeros((5, 24), np.float32))
    _, kind, rank, _, sizes, strides, *_ = fake.named("map")[0]
    assert (kind, rank, sizes, strides) == (11, 2, [24, 5], [96])


def test_what_the_driver_refuses_is_an_error(tmp_path: Path):
    driver = CudaDriver(bindings=FakeCuda({"show": show}), encode=lambda *_: 1)
    with pytest.raises(LaminaError, match="cuTensorMapEncodeTiled fails: CUDA_ERROR_INVALID_VALUE: what went wrong"):
        GpuExecutable(package(tmp_path, MANIFEST), driver)(np.zeros((5, 24), np.float16))


def test_what_no_tensor_map_can_describe_is_an_error(tmp_path: Path):
    manifest = json.loads(json.dumps(MANIFEST))
    manifest["steps"][0]["arguments"][1]["sizes"] = ["rows", 23]
    fake = FakeCuda({"show": show})
    executable = GpuExecutable(package(tmp_path, manifest), CudaDriver(bindings=fake, encode=fake.encode))
    with pytest.raises(LaminaError, match=r"kernel 'show': a tensor map of sizes \[5, 23\] needs lines and a start at"):
        executable(np.zeros((5, 24), np.float16))
    with pytest.raises(LaminaError, match="OpenCL has no tensor maps"):
        plain_arguments([("map", TensorMap(0, "float16", (8, 8), (8, 8)))], "OpenCL")


# Banks


def conflicts(addresses: list[int], bytes_each: int) -> int:
    """How often 32 banks of 4 bytes are asked for more than once: by threads that go together, 128 bytes at a time."""
    together = 128 // bytes_each
    worst = 0
    for start in range(0, len(addresses), together):
        words: dict[int, set[int]] = {}
        for address in addresses[start : start + together]:
            for word in range(address // 4, (address + bytes_each) // 4):
                words.setdefault(word % 32, set()).add(word)
        worst = max(worst, max(len(found) for found in words.values()) - 1)
    return worst


@pytest.mark.parametrize("line", [32, 64, 128, 256])
def test_swizzled_lines_have_no_bank_conflicts(line: int):
    """Eight lines' chunks at one place (ldmatrix), and neighbors of lines (copies); padding has both only by chance."""

    def swizzled(row: int, chunk: int) -> int:
        return row * line + 16 * swizzled_chunk(row, chunk, line)

    def padded(row: int, chunk: int) -> int:
        return row * (line + 16) + 16 * chunk

    chunks = line // 16
    for chunk in range(chunks):
        assert conflicts([swizzled(row, chunk) for row in range(8)], 16) == 0
    copies = [(number // chunks, number % chunks) for number in range(32)]
    assert conflicts([swizzled(*place) for place in copies], 16) == 0
    assert conflicts([padded(*place) for place in copies], 16) == (1 if line < 128 else 0)
    places = {swizzled(row, chunk) for row in range(64) for chunk in range(chunks)}
    assert places == {16 * number for number in range(64 * chunks)}
