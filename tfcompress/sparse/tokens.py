"""The vocabularies of a model's lookups, which are no weights and belong to them all the same."""

from __future__ import annotations

from typing import Any

from tfcompress.errors import ExportError
from tfcompress.keras import keras
from tfcompress.surgery import walk

Tokens = dict[str, list[Any]]
_LOOKUPS = (keras.layers.StringLookup, keras.layers.IntegerLookup)


def _lookups(model: Any) -> dict[str, Any]:
    return {held.path: held.layer for held in walk(model) if isinstance(held.layer, _LOOKUPS)}


def tokens_of(model: Any) -> Tokens:
    """By path the tokens of each lookup, in the order of their ids, those for unknown ones aside.

    Example:
        >>> lookup = keras.layers.StringLookup(vocabulary=["b", "a"], name="words")
        >>> tokens_of(keras.Sequential([lookup]))
        {'words': ['b', 'a']}
    """
    return {path: _tokens(layer) for path, layer in _lookups(model).items()}


def _tokens(layer: Any) -> list[Any]:
    number = isinstance(layer, keras.layers.IntegerLookup)
    found = layer.get_vocabulary(include_special_tokens=False)
    return [int(token) if number else str(token) for token in found]


def check_tokens(model: Any, tokens: Tokens, path: Any) -> None:
    """That the model can be given these tokens.

    Raises:
        ExportError: it has other lookups, or one whose tokens have weights of their own (tf_idf).
    """
    lookups = _lookups(model)
    if sorted(lookups) != sorted(tokens):
        raise ExportError(
            f"{path} holds the vocabularies of {sorted(tokens)}, and the model looks tokens up in "
            f"{sorted(lookups)}; expected the same. Load it into what the same spec makes of the "
            "same model."
        )
    for name, layer in lookups.items():
        if layer.output_mode == "tf_idf" and _tokens(layer) != tokens[name]:
            raise ExportError(
                f"{path} holds another vocabulary than {name!r} has, which weighs its tokens "
                "(tf_idf); expected the same. Adapt the layer on the same data first."
            )


def give_tokens(model: Any, tokens: Tokens) -> None:
    """Gives each lookup its tokens, where it has others."""
    for name, layer in _lookups(model).items():
        if _tokens(layer) != tokens[name]:
            layer.set_vocabulary(tokens[name])
