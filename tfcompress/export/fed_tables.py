"""Which inputs of a signature are ids of tables, found by running it on marked inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfcompress.export.signature import Signature
from tfcompress.keras import keras, tf
from tfcompress.layers import TableLayer
from tfcompress.layers.compressed import raw
from tfcompress.surgery import listening, walk

Array = np.ndarray[Any, Any]
TABLES = (keras.layers.Embedding, TableLayer)


def ids_read_by_tables(model: Any, signature: Signature) -> dict[str, int]:
    """For each input whose numbers reach a table as they are, how many ids there are.

    The signature is called a few times, each of its inputs filled with one of two values: the bits
    of the input's number. So each number that reaches a table says which input it is of, also
    where the model cuts inputs into pieces or puts them together.

    Args:
        model: any model.
        signature: what is called; its inputs are numbers.

    Returns:
        By input the number of rows, of several tables that of the smallest.

    Example:
        >>> table = keras.layers.Embedding(50, 4)
        >>> call = lambda layer, ids, x: {"y": layer(ids[:, 1:]) + x}
        >>> specs = {"x": tf.TensorSpec([1, 1]), "ids": tf.TensorSpec([1, 3], tf.int32)}
        >>> model = keras.Sequential([table])
        >>> ids_read_by_tables(model, Signature(call, specs))
        {'ids': 50}
    """
    tables = {h.path: h.layer for h in walk(model) if isinstance(raw(h.layer), TABLES)}
    if not tables:
        return {}
    names = list(signature.inputs)
    runs = [_heard(model, signature, tables, {})]
    for bit in range(len(names).bit_length()):
        bits = {name: number >> bit & 1 for number, name in enumerate(names, 1)}
        runs.append(_heard(model, signature, tables, bits))
    found: dict[str, int] = {}
    for path, layer in tables.items():
        rows = int(raw(layer).input_dim)
        for calls in zip(*(run[path] for run in runs), strict=False):
            for number in _numbers(calls):
                if number <= len(names):
                    name = names[number - 1]
                    found[name] = min(found.get(name, rows), rows)
    return found


def _numbers(calls: tuple[Array, ...]) -> set[int]:
    """Numbers of the inputs that were heard in a call: 0 in the first run, then their bits."""
    if any(heard.shape != calls[0].shape for heard in calls):
        return set()
    runs = np.stack([heard.reshape(-1) for heard in calls]).astype(np.int64)
    marked = runs[:, (runs[0] == 0) & ((runs == 0) | (runs == 1)).all(axis=0)]
    numbers = (marked[1:] << np.arange(len(marked) - 1)[:, None]).sum(axis=0)
    return {int(number) for number in numbers} - {0}


def _heard(
    model: Any, signature: Signature, tables: Mapping[str, Any], bits: Mapping[str, int]
) -> dict[str, list[Array]]:
    heard: dict[str, list[Array]] = {path: [] for path in tables}

    def note(path: str) -> Any:
        return lambda ids, _: heard[path].append(np.asarray(ids))

    with listening([(layer, note(path)) for path, layer in tables.items()]):
        signature(model, **{k: _filled(s, bits.get(k, 0)) for k, s in signature.inputs.items()})
    return heard


def _filled(spec: Any, value: int) -> Any:
    return tf.cast(tf.fill([1 if size is None else size for size in spec.shape], value), spec.dtype)
