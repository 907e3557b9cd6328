"""The opt tool, a file per job: `driver` puts them together."""
