"""Command lines: `lamina` and `lamina-opt`."""
