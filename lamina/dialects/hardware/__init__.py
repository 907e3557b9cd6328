"""The hardware level's own dialect: `cpu`, what a CPU target has beyond the loop level's ops."""

from lamina.dialects.hardware.cpu import Cpu, ParallelForOp

__all__ = ["Cpu", "ParallelForOp"]
