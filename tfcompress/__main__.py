"""Runs the command line: `python -m tfcompress`."""

import sys

from tfcompress_cli import main

if __name__ == "__main__":
    sys.exit(main())
