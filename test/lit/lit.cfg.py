"""lit's configuration: `lamina-opt`, `lamina` and `filecheck` of this environment, `mlir-opt` where it is installed."""

import os
import shutil
import sys
from pathlib import Path

import lit.formats

config.name = "lamina"  # noqa: F821
config.test_format = lit.formats.ShTest(execute_external=False)  # noqa: F821
config.suffixes = [".mlir", ".test"]  # noqa: F821
config.excludes = ["Output", "Inputs"]  # noqa: F821
config.test_source_root = str(Path(__file__).parent)  # noqa: F821

# LAMINA_COMMANDS: a folder with other `lamina` and `lamina-opt` (test_lit.py has some that start faster).
folders = [os.environ.get("LAMINA_COMMANDS"), str(Path(sys.executable).parent), os.environ.get("PATH")]
config.environment["PATH"] = os.pathsep.join(folder for folder in folders if folder)  # noqa: F821

mlir_opt = shutil.which("mlir-opt-22") or shutil.which("mlir-opt")
if mlir_opt:
    config.available_features.add("mlir-opt")  # noqa: F821
    config.substitutions.append(("%mlir_opt", mlir_opt))  # noqa: F821
