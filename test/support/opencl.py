"""Running a folder compiled for `spirv` on an OpenCL CPU runtime, in a process whose environment the runtime needs.

python -m support.opencl LIBRARY FOLDER INPUTS.npz OUTPUTS.npz
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

RUNTIME, LOADER = "libintelocl.so", "libOpenCL.so"


def runtime_folder() -> Path | None:
    """Where PyPI's intel-opencl-rt lies: LAMINA_TEST_OPENCL, else this environment's lib; None where it is not there."""
    folder = Path(os.environ.get("LAMINA_TEST_OPENCL") or Path(sys.prefix) / "lib")
    return folder if (folder / RUNTIME).exists() and (folder / LOADER).exists() else None


def run_package(folder: Path, feeds: dict[str, np.ndarray], scratch: Path) -> dict[str, np.ndarray]:
    """The outputs of a compiled folder by name."""
    library = runtime_folder()
    assert library is not None
    vendors = scratch / "vendors"
    vendors.mkdir(exist_ok=True)
    (vendors / "intel.icd").write_text(f"{library / RUNTIME}\n")
    np.savez(scratch / "inputs.npz", **feeds)
    environment = dict(os.environ, OCL_ICD_VENDORS=f"{vendors}/", LD_LIBRARY_PATH=str(library))
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    files = [str(one) for one in (library / LOADER, folder, scratch / "inputs.npz", scratch / "outputs.npz")]
    child = subprocess.run(
        [sys.executable, "-m", "support.opencl", *files], env=environment, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return dict(np.load(scratch / "outputs.npz"))


def main(library: str, folder: str, inputs: str, outputs: str) -> None:
    """The child: load, run, save."""
    from lamina.targets.gpu.launcher import Program
    from lamina.targets.gpu.opencl import OpenClDriver

    program = Program(Path(folder), OpenClDriver(Path(library)))
    np.savez(outputs, **program(**dict(np.load(inputs))))


if __name__ == "__main__":
    main(*sys.argv[1:])
