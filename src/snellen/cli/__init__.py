"""The command line: one file a command, everything heavy imported inside it."""

from snellen.cli.app import main

__all__ = ["main"]
