"""Runs the command line: `python -m tfcompress_cli`, whose help needs no TensorFlow."""

import sys

from tfcompress_cli import main

if __name__ == "__main__":
    sys.exit(main())
