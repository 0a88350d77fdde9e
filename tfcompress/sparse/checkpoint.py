"""Saving and loading a model's weights without their zeros.

The file: a mark, the length of the header and its checksum, the header as JSON, and for each weight
which entries are not zero and those entries, one behind the other. The header has the vocabularies
of lookups, too.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.layers import Compressed
from tfcompress.layers.weights import weight_of
from tfcompress.sparse.codec import ENCODINGS, decode, encode, nonzero
from tfcompress.sparse.tokens import check_tokens, give_tokens, tokens_of
from tfcompress.surgery import walk
from tfcompress.surgery.walk import without_tokens

Array = np.ndarray[Any, Any]
_MARK = b"TFCSPRS1"
_HEAD = struct.Struct("<QI")  # length and checksum of the header


def save_sparse(model: Any, path: str | Path) -> int:
    """Writes the weights of a model, those that are not zero.

    What lies under the zeros of a mask that never moves again is not written; a mask on a schedule
    may bring such weights back, and they are. A mask that says no more than which weights are zero
    takes no bytes. Vocabularies that lookups were adapted to are written, too. The file is
    written beside its place and then moved there.

    Args:
        model: a built model, compressed or not.
        path: the file.

    Returns:
        Bytes of the file.

    Raises:
        ExportError: a weight that is no array of numbers.

    Example:
        >>> import tempfile, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(64, input_shape=(64,), name="head")])
        >>> spec = tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Prune(0.95))])
        >>> student = tfc.apply(model, spec)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     size = tfc.save_sparse(student, folder + "/weights.sparse")
        ...     tfc.load_sparse(tfc.apply(model, spec), folder + "/weights.sparse")
        >>> size < 64 * 64 * 4 * 0.1
        True
    """
    masked = _masked(model)
    weights = without_tokens(model.weights)
    values = [np.asarray(w) for w in weights]
    for place, mask in masked.items():
        values[place] = np.where(
            values[mask] != 0, values[place], np.zeros((), values[place].dtype)
        )
    rows, parts = [], []
    for index, (weight, value) in enumerate(zip(weights, values, strict=True)):
        row, content = _written(weight.name, value, _same_pattern(index, values, masked))
        rows.append(row)
        parts.append(content)
    header = json.dumps({"weights": rows, "tokens": tokens_of(model)}).encode()
    content = b"".join([_MARK, _HEAD.pack(len(header), zlib.crc32(header)), header, *parts])
    _put(Path(path), content)
    return len(content)


def _masked(model: Any) -> dict[int, int]:
    """Places of the weights under a settled mask among the model's, with the place of the mask."""
    places = {id(weight): place for place, weight in enumerate(without_tokens(model.weights))}
    found = {}
    for held in walk(model):
        if not isinstance(held.layer, Compressed):
            continue
        for name, chain in held.layer.transforms.items():
            for transform in chain:
                if getattr(transform, "settled", False):
                    weight = weight_of(held.layer.layer, name)
                    found[places[id(weight)]] = places[id(transform._mask)]
    return found


def _same_pattern(index: int, values: list[Array], masked: dict[int, int]) -> int | None:
    """The weight whose non-zeros are exactly the ones of this mask, or None."""
    for place, mask in masked.items():
        if mask == index and np.array_equal(
            values[mask].reshape(-1), nonzero(values[place]).astype(values[mask].dtype)
        ):
            return place
    return None


def _written(name: str, value: Array, like: int | None) -> tuple[dict[str, Any], bytes]:
    if value.dtype == object:
        raise ExportError(f"The weight {name} holds {value.dtype}; expected numbers.")
    row: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": value.dtype.name}
    if like is not None:
        return {**row, "like": like, "bytes": [0, 0], "checksum": 0}, b""
    encoding, where, entries = encode(value)
    sizes = [len(where), len(entries)]
    checksum = zlib.crc32(where + entries)
    return {**row, "encoding": encoding, "bytes": sizes, "checksum": checksum}, where + entries


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def load_sparse(model: Any, path: str | Path) -> None:
    """Gives a model the weights that `save_sparse` wrote, to the last bit, and the vocabularies.

    Args:
        model: a built model of the same weights, such as the one that the same spec makes.
        path: the file.

    Raises:
        ExportError: no such file, or a damaged one, or one of other weights or lookups; the model
            is not changed then.

    Example:
        >>> import tempfile, tf_keras as keras
        >>> import tfcompress as tfc
        >>> first = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
        >>> second = keras.models.clone_model(first)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = tfc.save_sparse(first, folder + "/weights.sparse")
        ...     tfc.load_sparse(second, folder + "/weights.sparse")
        >>> bool((second.get_weights()[0] == first.get_weights()[0]).all())
        True
    """
    header, content = _read(Path(path))
    rows, tokens = header["weights"], header.get("tokens")  # older files have no tokens
    weights = without_tokens(model.weights)
    _check(weights, rows, path)
    values = _values(rows, content, path)
    if tokens is not None:
        check_tokens(model, tokens, path)
        give_tokens(model, tokens)
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"Could not read {path} ({error}); expected a sparse file.") from error
    start = len(_MARK) + _HEAD.size
    if not content.startswith(_MARK) or len(content) < start:
        raise ExportError(f"{path} was not written by save_sparse; expected a file that was.")
    length, checksum = _HEAD.unpack(content[len(_MARK) : start])
    header = content[start : start + length]
    if zlib.crc32(header) != checksum:
        raise _damaged(path)
    return json.loads(header), content[start + length :]


def _check(weights: Sequence[Any], rows: list[dict[str, Any]], path: Any) -> None:
    if len(weights) != len(rows):
        raise ExportError(
            f"{path} holds {len(rows)} weights, and the model has {len(weights)}; expected as "
            "many. Load it into what the same spec makes of the same model."
        )
    for weight, row in zip(weights, rows, strict=True):
        mine, theirs = (list(weight.shape), weight.dtype.name), (row["shape"], row["dtype"])
        if mine != theirs:
            raise ExportError(
                f"{path} holds {theirs[1]} {theirs[0]} as {row['name']}, and the model has "
                f"{mine[1]} {mine[0]} there ({weight.name}); expected the same. Load it into what "
                "the same spec makes of the same model."
            )


def _values(rows: list[dict[str, Any]], content: bytes, path: Any) -> list[Array]:
    values: dict[int, Array] = {}
    place = 0
    for index, row in enumerate(rows):
        where, entries = row["bytes"]
        part = content[place : place + where + entries]
        place += where + entries
        if zlib.crc32(part) != row["checksum"]:
            raise _damaged(path)
        if "like" not in row:
            size = int(np.prod(row["shape"]))
            present = ENCODINGS[row["encoding"]].read(part[:where], size)
            dtype = np.dtype(row["dtype"])
            values[index] = decode(present, part[where:], dtype, tuple(row["shape"]))
    for index, row in enumerate(rows):
        if "like" in row:
            mask = nonzero(values[row["like"]]).astype(row["dtype"])
            values[index] = mask.reshape(row["shape"])
    return [values[index] for index in range(len(rows))]


def _damaged(path: Any) -> ExportError:
    return ExportError(f"{path} is damaged: a checksum does not fit. Write it anew.")
