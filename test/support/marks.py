"""What some tests need beyond the test extra's packages: marks that skip them where it is missing."""

from __future__ import annotations

import pytest

from lamina.targets.gpu.ptxas import find_ptxas
from support.opencl import runtime_folder

PTXAS = find_ptxas()

needs_ptxas = pytest.mark.skipif(PTXAS is None, reason="no ptxas (PyPI: nvidia-cuda-nvcc)")
needs_opencl = pytest.mark.skipif(
    runtime_folder() is None, reason="no OpenCL CPU runtime (PyPI: intel-opencl-rt, intel-cmplr-lib-rt)"
)
