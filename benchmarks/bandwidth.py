"""What memory gives and takes on this machine: the measure beside every memory-sized row.

    python benchmarks/bandwidth.py [--threads 1 2] [--mib 64] [--json FILE]

Kernels of their own in LLVM IR, vectors of 64 bytes: `read` sums one array, `write` fills one, `copy` reads one and
writes one, `triad` reads two and writes one; stores go past the caches (and once more through them, as `copy cached`).
Each thread has a part of arrays of `--mib`. GB/s count what is read and written once, of the best of the runs.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

RUNS = 5
PAUSE_SECONDS = 0.05

BODIES: Mapping[str, tuple[int, str]] = {
    "read": (
        1,
        """
  %v{n} = load <16 x float>, ptr %x{n}, align 64
  %next{n} = fadd <16 x float> %sum{n}, %v{n}
""",
    ),
    "write": (1, "  store <16 x float> splat (float 1.0), ptr %z{n}, align 64, !nontemporal !0\n"),
    "copy": (
        2,
        """
  %v{n} = load <16 x float>, ptr %x{n}, align 64
  store <16 x float> %v{n}, ptr %z{n}, align 64, !nontemporal !0
""",
    ),
    "copy cached": (
        2,
        """
  %v{n} = load <16 x float>, ptr %x{n}, align 64
  store <16 x float> %v{n}, ptr %z{n}, align 64
""",
    ),
    "triad": (
        3,
        """
  %v{n} = load <16 x float>, ptr %x{n}, align 64
  %w{n} = load <16 x float>, ptr %y{n}, align 64
  %t{n} = call <16 x float> @llvm.fma.v16f32(<16 x float> %w{n}, <16 x float> splat (float 3.0), <16 x float> %v{n})
  store <16 x float> %t{n}, ptr %z{n}, align 64, !nontemporal !0
""",
    ),
}
"""By name: arrays that are read or written once, and one of four steps of the loop."""

UNROLL = 4


def kernel(name: str) -> str:
    """`void NAME(x, y, z, count)`, `count` floats, a multiple of 64; sums end in z[0]."""
    _, body = BODIES[name]
    sums = "next" in body
    lines = ["declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)"]
    lines += [
        f"define void @{name.replace(' ', '_')}(ptr %x, ptr %y, ptr %z, i64 %count) {{",
        "entry:",
        "  br label %loop",
    ]
    lines += ["loop:", "  %i = phi i64 [0, %entry], [%following, %loop]"]
    if sums:
        lines += [f"  %sum{n} = phi <16 x float> [zeroinitializer, %entry], [%next{n}, %loop]" for n in range(UNROLL)]
    for n in range(UNROLL):
        lines.append(f"  %i{n} = add i64 %i, {16 * n}")
        lines += [f"  %{array}{n} = getelementptr float, ptr %{array}, i64 %i{n}" for array in "xyz"]
        lines.append(body.format(n=n))
    lines += [f"  %following = add i64 %i, {16 * UNROLL}", "  %more = icmp ult i64 %following, %count"]
    lines += ["  br i1 %more, label %loop, label %end", "end:"]
    if sums:
        lines += ["  %s1 = fadd <16 x float> %next0, %next1", "  %s2 = fadd <16 x float> %next2, %next3"]
        lines += ["  %s = fadd <16 x float> %s1, %s2", "  store <16 x float> %s, ptr %z, align 64"]
    lines += ["  ret void", "}", "!0 = !{i32 1}"]
    return "\n".join(lines)


class Kernels:
    """The compiled kernels; the engine lives as long as this object."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple()
        features = llvm.get_host_cpu_features().flatten()
        machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=2)
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        for name in BODIES:
            self.engine.add_module(llvm.parse_assembly(kernel(name)))
        self.engine.finalize_object()
        type_ = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)
        self.calls = {name: type_(self.engine.get_function_address(name.replace(" ", "_"))) for name in BODIES}


def aligned(count: int) -> np.ndarray:
    """Zeros at a multiple of 64 bytes, every page touched."""
    raw = np.ones(count + 16, np.float32)
    start = -raw.ctypes.data % 64 // 4
    return raw[start : start + count]


def measure(threads: int, mib: int) -> dict[str, float]:
    """GB/s by kernel."""
    kernels = Kernels()
    count = mib * 2**20 // 4 // (64 * threads) * 64
    parts = [[aligned(count) for _ in range(3)] for _ in range(threads)]
    return {
        name: round(2 * arrays * 4 * count * threads / _fastest_twice(kernels.calls[name], parts, count) / 1e9, 2)
        for name, (arrays, _) in BODIES.items()
    }


def _fastest_twice(call: Callable[..., None], parts: Sequence[Sequence[np.ndarray]], count: int) -> float:
    """Seconds from the first thread's start to the last one's end, of two calls, the least of the runs."""
    best = float("inf")
    for _ in range(RUNS):
        barrier = threading.Barrier(len(parts))
        spans: list[tuple[float, float]] = []
        running = [threading.Thread(target=_work, args=(call, part, count, barrier, spans)) for part in parts]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        best = min(best, max(end for _, end in spans) - min(start for start, _ in spans))
        time.sleep(PAUSE_SECONDS)
    return best


def _work(
    call: Callable[..., None],
    arrays: Sequence[np.ndarray],
    count: int,
    barrier: threading.Barrier,
    spans: list[tuple[float, float]],
) -> None:
    pointers = [array.ctypes.data for array in arrays]
    call(*pointers, count)
    barrier.wait()
    start = time.perf_counter()
    call(*pointers, count)
    call(*pointers, count)
    spans.append((start, time.perf_counter()))


def share(bandwidth: Mapping[str, float], read: int, written: int, seconds: float) -> float:
    """What part of the bandwidth of the pattern that is nearest a row reaches that reads and writes so many bytes."""
    total = read + written
    patterns = {"read": 0.0, "triad": 1 / 3, "copy": 1 / 2, "write": 1.0}
    nearest = min(patterns, key=lambda name: abs(patterns[name] - written / total))
    return total / seconds / 1e9 / bandwidth[nearest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--mib", type=int, default=64, help="of one array")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [{"threads": threads, **measure(threads, options.mib)} for threads in options.threads]
    for row in rows:
        print("  ".join(f"{key}={value}" for key, value in row.items()))
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    sys.exit(main())
