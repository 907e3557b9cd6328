"""Running a folder compiled for `spirv` on an OpenCL CPU runtime, in a process whose environment the runtime needs.

python -m support.opencl LIBRARY FOLDER INPUTS.npz OUTPUTS.npz [FOLDER INPUTS.npz OUTPUTS.npz …]
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ml_dtypes
import numpy as np

RUNTIME, LOADER = "libintelocl.so", "libOpenCL.so"


def runtime_folder() -> Path | None:
    """Where PyPI's intel-opencl-rt lies: LAMINA_TEST_OPENCL, else this environment's lib; None where it is not there."""
    folder = Path(os.environ.get("LAMINA_TEST_OPENCL") or Path(sys.prefix) / "lib")
    return folder if (folder / RUNTIME).exists() and (folder / LOADER).exists() else None


def run_package(folder: Path, feeds: dict[str, np.ndarray], scratch: Path) -> dict[str, np.ndarray]:
    """The outputs of a compiled folder by name."""
    return run_packages([(folder, feeds)], scratch)[0]


def run_packages(jobs: Sequence[tuple[Path, dict[str, np.ndarray]]], scratch: Path) -> list[dict[str, np.ndarray]]:
    """The outputs of several compiled folders by name, from one process."""
    library = runtime_folder()
    assert library is not None
    vendors = scratch / "vendors"
    vendors.mkdir(exist_ok=True)
    (vendors / "intel.icd").write_text(f"{library / RUNTIME}\n")
    environment = dict(os.environ, OCL_ICD_VENDORS=f"{vendors}/", LD_LIBRARY_PATH=str(library))
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    files = [str(library / LOADER)]
    for number, (folder, feeds) in enumerate(jobs):
        np.savez(scratch / f"inputs{number}.npz", **feeds)
        files += [str(folder), str(scratch / f"inputs{number}.npz"), str(scratch / f"outputs{number}.npz")]
    child = subprocess.run(
        [sys.executable, "-m", "support.opencl", *files], env=environment, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return [dict(np.load(scratch / f"outputs{number}.npz")) for number in range(len(jobs))]


def main(library: str, *files: str) -> None:
    """The child: load, run, save, one folder after the other."""
    from lamina.targets.gpu.launcher import Program
    from lamina.targets.gpu.opencl import OpenClDriver

    driver = OpenClDriver(Path(library))
    for folder, inputs, outputs in zip(files[::3], files[1::3], files[2::3], strict=True):
        # NumPy's files do not know bf16.
        feeds = {
            name: one.view(ml_dtypes.bfloat16) if one.dtype.kind == "V" else one
            for name, one in np.load(inputs).items()
        }
        np.savez(outputs, **Program(Path(folder), driver)(**feeds))


if __name__ == "__main__":
    main(*sys.argv[1:])
