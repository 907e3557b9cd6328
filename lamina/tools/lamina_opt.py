"""`lamina-opt`: pass pipelines over textual IR and ONNX models. The entry point; the tool is `lamina.tools.opt`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from lamina.tools.opt.driver import LaminaOptMain
from lamina.tools.reporting import run_tool


def main(arguments: Sequence[str] | None = None, driver: type[LaminaOptMain] = LaminaOptMain) -> NoReturn:
    """The entry point: exits with 0, or with 1 after an error message. Another opt tool passes its own driver."""
    given = sys.argv[1:] if arguments is None else list(arguments)

    def body() -> int:
        try:
            tool = driver("Lamina's opt tool: dialects, passes and phases over textual IR.", given)
            tool.run()
        except SystemExit as stop:
            return 1 if stop.code else 0
        return 1 if tool.failed else 0

    sys.exit(run_tool(body, debug="--debug" in given))


if __name__ == "__main__":
    main()
