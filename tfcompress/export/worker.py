"""Runs a TFLite file in a process of its own, without TensorFlow: python -P worker.py FILE.

Reads (signature, inputs) from its standard input and writes the outputs, or the text of what went
wrong, with the most memory that it had so far; all of it pickled, until there is no more to read.
"""

from __future__ import annotations

import pickle
import resource
import sys
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main() -> None:
    """Answers until standard input ends."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    held: tuple[str, Any] | None = None
    while True:
        try:
            signature, inputs = pickle.load(source)
        except EOFError:
            return
        answer: Any
        try:
            if held is None or held[0] != signature:
                held = None  # first: LiteRT packs weights anew in each
                interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
                held = signature, interpreter.get_signature_runner(signature)
            answer = {name: np.array(value) for name, value in held[1](**inputs).items()}
        except (ValueError, RuntimeError) as error:
            answer = str(error)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pickle.dump((answer, peak if sys.platform == "darwin" else 1024 * peak), target)
        target.flush()


if __name__ == "__main__":
    main()
