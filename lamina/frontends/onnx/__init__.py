"""ONNX models as graph modules: `import_model`, and `check_model` for what stands in the way."""

from lamina.frontends.onnx.importer import check_model, import_model
from lamina.frontends.onnx.report import Unsupported, format_unsupported

__all__ = ["Unsupported", "check_model", "format_unsupported", "import_model"]
