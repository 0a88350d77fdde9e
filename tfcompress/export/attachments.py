"""Vocabularies as files inside a TFLite file and beside it, and reading them back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tfcompress.errors import ExportError
from tfcompress.export.metadata import DESCRIPTIONS, VOCABULARY, Attached, Tensor, attached
from tfcompress.export.vocabularies import (
    HashedVocabulary,
    IntegerVocabulary,
    StringVocabulary,
    TokenVocabulary,
    Vocabulary,
)

INDEX = "lookups.json"
_VERSION = 1
_KINDS: dict[str, type[Vocabulary]] = {
    kind.kind: kind for kind in (StringVocabulary, IntegerVocabulary, HashedVocabulary)
}
Inputs = Mapping[str, Mapping[str, Vocabulary]]


def files_of(inputs: Inputs) -> list[Attached]:
    """`lookups.json`, and for each list of tokens a file `NAME.vocabulary.txt`.

    A line of it is a token, the first one that of id 0. Where a token holds a line break it is
    `NAME.vocabulary.json`, an array.

    Args:
        inputs: for each signature and input its vocabulary; none, and there is no file.
    """
    if not inputs:
        return []
    known = {v.name: v for several in inputs.values() for v in several.values()}
    lists = {name: _list(v) for name, v in known.items() if isinstance(v, TokenVocabulary)}
    data = {
        "version": _VERSION,
        "inputs": {s: {i: v.name for i, v in several.items()} for s, several in inputs.items()},
        "lookups": [
            {**v.to_data(), "file": lists[name].name if name in lists else None}
            for name, v in known.items()
        ],
    }
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    about = "Which lookup gives the ids of each input, and how"
    return [Attached(INDEX, text.encode(), about, DESCRIPTIONS), *lists.values()]


def _list(vocabulary: TokenVocabulary) -> Attached:
    tokens = [str(token) for token in vocabulary.all_tokens]
    base = vocabulary.name.replace("/", "_")
    if any("\ufeff" in token or len((token + ".").splitlines()) > 1 for token in tokens):
        text, name = json.dumps(tokens, ensure_ascii=False), f"{base}.vocabulary.json"
    else:
        text, name = "".join(token + "\n" for token in tokens), f"{base}.vocabulary.txt"
    return Attached(name, text.encode(), f"Tokens of {vocabulary.name} by id", VOCABULARY)


def tensors_of(inputs: Inputs) -> dict[str, Sequence[Tensor]]:
    """What the metadata says of the inputs that take ids."""
    files = {file.description: file.name for file in files_of(inputs)}
    return {
        signature: [
            Tensor(
                name,
                f"Ids 0 to {v.size - 1} that {v.kind} {v.name} gives; others count as {v.default}",
                tuple(files[d] for d in [f"Tokens of {v.name} by id"] if d in files),
            )
            for name, v in several.items()
        ]
        for signature, several in inputs.items()
    }


def read_vocabularies(path: str | Path) -> dict[str, dict[str, Vocabulary]]:
    """What turns tokens into the ids that an exported file takes, read from that file alone.

    Args:
        path: a `model.tflite` that `export` wrote.

    Returns:
        For each signature and each input that takes ids in place of tokens a `Vocabulary`: called
        on tokens it gives their ids, int32 in the same shape, as the Keras layer did. Nothing for
        a file of a model without such layers.

    Raises:
        ExportError: the file's vocabularies are not of a version that is known.

    Example:
        >>> import tempfile, tf_keras as keras
        >>> import tfcompress as tfc
        >>> layers = keras.layers
        >>> table = layers.Embedding(3, 4)
        >>> lookup = layers.StringLookup(vocabulary=["drama", "crime"])
        >>> model = keras.Sequential([keras.Input((2,), dtype="string", name="x"), lookup, table])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = tfc.export(model, folder + "/small")
        ...     genres = tfc.read_vocabularies(made.model)["serve"]["x"]
        ...     ids = genres([["crime", "opera"]])
        ...     rows = tfc.LiteModel(made.model).run("serve", {"x": ids})["output"]
        >>> ids.tolist(), rows.shape
        ([[2, 0]], (1, 2, 4))
    """
    files = attached(Path(path).read_bytes())
    if INDEX not in files:
        return {}
    data = json.loads(files[INDEX])
    if data.get("version") != _VERSION:
        raise ExportError(
            f"The {INDEX} in {path} is of version {data.get('version')!r}; expected {_VERSION}. "
            "Read it with the tfcompress that wrote it."
        )
    known = {item["name"]: _vocabulary(item, _tokens(item, files)) for item in data["lookups"]}
    return {s: {i: known[n] for i, n in several.items()} for s, several in data["inputs"].items()}


def _tokens(item: dict[str, Any], files: Mapping[str, bytes]) -> list[Any]:
    if item["file"] is None:
        return []
    text = files[item["file"]].decode()
    tokens = json.loads(text) if item["file"].endswith(".json") else text.split("\n")[:-1]
    return [int(t) for t in tokens] if item["kind"] == IntegerVocabulary.kind else tokens


def _vocabulary(data: dict[str, Any], tokens: list[Any]) -> Vocabulary:
    # `tokens` has one for each id, where there is a list.
    kind = _KINDS[data["kind"]]
    known = {field.name for field in fields(kind)}
    given = {name: value for name, value in data.items() if name in known}
    if issubclass(kind, TokenVocabulary):
        masked = given["mask_token"] is not None and not given["encoded"]
        given["terms"] = tuple(tokens[masked + given["oov_indices"] :])
    elif given["salt"] is not None:
        given["salt"] = tuple(given["salt"])
    return kind(**given)
