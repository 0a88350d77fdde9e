"""What a run time answers, asked in an interpreter with neither tfcompress nor TensorFlow.

python answer.py MODULE FOLDER: for every N.tflite and N.npz in the folder, run by
MODULE.interpreter in a process of its own (some files end it), N.out.npz or N.error is written
beside them.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

_SECONDS = 60


def answer(module: Any, path: Path) -> None:
    """Runs one file on its inputs, in the order in which it has them."""
    try:
        interpreter = module.Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        given = np.load(path.with_suffix(".npz"))
        for index, one in enumerate(interpreter.get_input_details()):
            interpreter.set_tensor(one["index"], given[str(index)])
        interpreter.invoke()
        details = interpreter.get_output_details()
        outputs = {str(i): interpreter.get_tensor(o["index"]) for i, o in enumerate(details)}
        np.savez(path.with_suffix(".out.npz"), **outputs)
    except Exception as error:  # whatever it is, it is the answer
        path.with_suffix(".error").write_text(f"{error}")


def main(name: str, folder: Path) -> None:
    """Runs all files of the folder."""
    module = importlib.import_module(f"{name}.interpreter")
    for path in sorted(folder.glob("*.tflite")):
        child = os.fork()
        if not child:
            signal.alarm(_SECONDS)
            answer(module, path)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            path.with_suffix(".error").write_text("it crashes")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
