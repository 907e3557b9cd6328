"""lit's configuration: `lamina-opt` with this plugin."""

import os
import shutil
import sys
from pathlib import Path

import lit.formats

here = Path(__file__).parent
config.name = here.parent.name  # noqa: F821
config.test_format = lit.formats.ShTest(execute_external=False)  # noqa: F821
config.suffixes = [".mlir"]  # noqa: F821
config.test_source_root = str(here)  # noqa: F821
config.environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # noqa: F821
(plugin,) = here.parent.glob("lamina_*.py")
config.substitutions.append(("%opt", f"lamina-opt --load {plugin}"))  # noqa: F821
mlir_opt = shutil.which("mlir-opt-22") or shutil.which("mlir-opt")
if mlir_opt:
    config.available_features.add("mlir-opt")  # noqa: F821
    config.substitutions.append(("%mlir_opt", mlir_opt))  # noqa: F821
