"""What the arithmetic units reach: multiply-adds on f32 registers alone, the measure beside every product.

    python benchmarks/peak.py [--threads 1 2] [--json FILE]

A loop of independent chains of fused multiply-adds in LLVM IR, vectors as wide as the machine's registers; nothing is
loaded. GFLOP/s (a multiplication and an addition are two), the best of the runs, of all threads together.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import threading
import time
from pathlib import Path

import llvmlite.binding as llvm

RUNS = 5
PAUSE_SECONDS = 0.05
CHAINS = 16
"""Enough to hide the latency of a multiply-add (4 cycles, two units), few enough for 32 registers."""

STEPS = 4_000_000
LANES = {"avx512f": 16, "avx2": 8}
"""f32 lanes of a register, by the first feature that the machine has; else 4."""


def kernel(lanes: int) -> str:
    """`float peak(count)`: `count` steps of every chain."""
    vector = f"<{lanes} x float>"
    names = range(CHAINS)
    lines = [f"declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})"]
    lines += ["define float @peak(i64 %count) {", "entry:", "  br label %loop", "loop:"]
    lines.append("  %i = phi i64 [0, %entry], [%following, %loop]")
    start = "splat (float 1.0)"
    lines += [f"  %x{n} = phi {vector} [{start}, %entry], [%y{n}, %loop]" for n in names]
    factors = f"{vector} splat (float 0.5), {vector} splat (float 1.0)"
    lines += [f"  %y{n} = call {vector} @llvm.fma.v{lanes}f32({vector} %x{n}, {factors})" for n in names]
    lines += ["  %following = add i64 %i, 1", "  %more = icmp ult i64 %following, %count"]
    lines += ["  br i1 %more, label %loop, label %end", "end:"]
    lines += [f"  %e{n} = extractelement {vector} %y{n}, i64 0" for n in names]
    lines += [f"  %s{n} = fadd float %{f's{n - 1}' if n else 'e0'}, %e{n}" for n in names]
    return "\n".join([*lines, f"  ret float %s{CHAINS - 1}", "}"])


class Kernel:
    """The compiled loop; the engine lives as long as this object."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = llvm.get_host_cpu_features()
        self.lanes = next((lanes for name, lanes in LANES.items() if features.get(name)), 4)
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=2
        )
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(kernel(self.lanes)), machine)
        self.engine.finalize_object()
        self.call = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64)(self.engine.get_function_address("peak"))


def measure(threads: int) -> float:
    """GFLOP/s of f32."""
    loop = Kernel()
    best = float("inf")
    for _ in range(RUNS):
        barrier, spans = threading.Barrier(threads), list[tuple[float, float]]()
        running = [threading.Thread(target=_work, args=(loop, barrier, spans)) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        best = min(best, max(end for _, end in spans) - min(start for start, _ in spans))
        time.sleep(PAUSE_SECONDS)
    return round(2 * CHAINS * loop.lanes * STEPS * threads / best / 1e9, 1)


def _work(loop: Kernel, barrier: threading.Barrier, spans: list[tuple[float, float]]) -> None:
    loop.call(STEPS // 100)
    barrier.wait()
    start = time.perf_counter()
    loop.call(STEPS)
    spans.append((start, time.perf_counter()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [{"threads": threads, "gflops": measure(threads)} for threads in options.threads]
    for row in rows:
        print(f"threads={row['threads']}  f32 multiply-adds, GFLOP/s={row['gflops']}")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    sys.exit(main())
