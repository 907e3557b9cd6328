"""A plugin with a pass of a name that is taken."""

from lamina.plugins import Plugin

PLUGIN = Plugin("rival", passes={"example-pass": lambda: None})
