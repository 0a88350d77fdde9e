"""Runs a command, and says what is wrong in one line."""

from __future__ import annotations

import sys
from argparse import Namespace

from tfcompress import TfcompressError
from tfcompress_cli import arguments, commands


def run(asked: Namespace) -> int:
    """The exit code of a command: 0, or 1 after an error that was said on stderr."""
    try:
        print(getattr(commands, asked.command)(**arguments(asked)))
    except (TfcompressError, OSError) as error:
        print(f"tfcompress {asked.command}: {error}", file=sys.stderr)
        return 1
    return 0
