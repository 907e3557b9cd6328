"""`--load MODULE`, which every tool has: plugins that take part besides those that are installed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lamina.plugins import Plugin, installed_plugins, load_plugin


def add_load_argument(parser: argparse._ActionsContainer) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `--load` to a parser or a group of one."""
    parser.add_argument(
        "--load",
        action="append",
        default=[],
        metavar="MODULE",
        help="let a plugin take part: a module's name, or the path of a file or package; may be repeated",
    )


def plugins_in(arguments: Sequence[str]) -> tuple[Plugin, ...]:
    """The installed plugins and those of the `--load` in a command line that is not parsed yet.

    They decide what else a command line may say. Raises LaminaError for a plugin that cannot be loaded.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add_load_argument(parser)
    options, _ = parser.parse_known_args(list(arguments))
    return (*installed_plugins(), *map(load_plugin, options.load))
