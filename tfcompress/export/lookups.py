"""Lookups of tokens lifted out of a model: its file begins with the ids that they would give.

LiteRT has no tables of texts and no hashes among its stock operators, and a phone app has better
ones. So every StringLookup, IntegerLookup and Hashing passes on what it is given, now ids, and the
inputs that lead to it are int32. Which input leads to which layer is found by running the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export.lowering import as_int32
from tfcompress.export.signature import Signature
from tfcompress.export.traced_inputs import inputs_read_by
from tfcompress.export.vocabularies import (
    NOTHING,
    HashedVocabulary,
    IntegerVocabulary,
    StringVocabulary,
    Vocabulary,
)
from tfcompress.keras import Layer, keras, tf
from tfcompress.layers.lookups import LOOKUPS
from tfcompress.surgery import Replacements, replace_layers, walk

_K = keras.layers
_encode = keras.src.layers.preprocessing.preprocessing_utils.encode_categorical_inputs


@dataclass(frozen=True)
class Lifted:
    """A model whose lookups are outside.

    Attributes:
        model: the model, taking ids.
        signatures: its functions, with int32 inputs in place of tokens.
        inputs: for each signature and such an input what gives its ids.
        layers: for each lookup that was lifted, by its path, the vocabulary.
    """

    model: Any
    signatures: Mapping[str, Signature]
    inputs: Mapping[str, Mapping[str, Vocabulary]] = field(default_factory=dict)
    layers: Mapping[str, Vocabulary] = field(default_factory=dict)

    def calls(self, batches: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
        """Calls of the Keras model as the file takes them: with ids."""
        return {
            signature: [self._ids(signature, one) for one in several]
            for signature, several in batches.items()
        }

    def _ids(self, signature: str, call: Mapping[str, Any]) -> dict[str, Any]:
        found = self.inputs.get(signature, {})
        return {name: found[name](v) if name in found else v for name, v in call.items()}

    def examples(self, batches: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
        """The calls with tokens that the lookups know, and some that they do not."""
        rng = np.random.default_rng(1)
        calls = {
            signature: [dict(one) for one in several] for signature, several in batches.items()
        }
        for signature, vocabularies in self.inputs.items():
            for one in calls[signature]:
                for name, vocabulary in vocabularies.items():
                    one[name] = vocabulary.examples(rng, one[name].shape, one[name].dtype)
        return calls

    def report(self) -> dict[str, Any]:
        """For a report: under `lookups` a row for each, with the inputs that take its ids."""
        rows = [
            {
                "layer": path,
                **vocabulary.to_data(),
                "inputs": [
                    f"{signature}.{name}"
                    for signature, several in self.inputs.items()
                    for name, one in several.items()
                    if one == vocabulary
                ],
            }
            for path, vocabulary in self.layers.items()
        ]
        return {"lookups": rows} if rows else {}


def lift(model: Any, signatures: Mapping[str, Signature]) -> Lifted:
    """`model`, changed: ids in place of tokens, where its signatures lead to lookups.

    Raises:
        ExportError: a lookup reads what the model computes, an input leads to two lookups that
            differ or is used otherwise as well, or tokens are what the model gives.
    """
    found = {held.path: held.layer for held in walk(model) if isinstance(held.layer, LOOKUPS)}
    if not found:
        return Lifted(model, signatures)
    layers = _vocabularies(found)
    replacements = Replacements()
    passing = {}
    for path, layer in found.items():
        passing[path] = Passing(layer, layers[path])
        replacements.put(layer, passing[path])
    model = replace_layers(model, replacements)
    inputs: dict[str, dict[str, Vocabulary]] = {}
    for name, signature in signatures.items():
        reads = inputs_read_by(model, name, signature, passing)
        inputs[name] = _one_each(name, {i: [layers[p] for p in ps] for i, ps in reads.items()})
    used = {v.name for several in inputs.values() for v in several.values()}
    taken = {name: _with_ids(signatures[name], inputs[name]) for name in signatures}
    kept = {path: vocabulary for path, vocabulary in layers.items() if vocabulary.name in used}
    return Lifted(model, taken, {s: several for s, several in inputs.items() if several}, kept)


def _vocabularies(found: Mapping[str, Any]) -> dict[str, Vocabulary]:
    """For each path its vocabulary; equal ones are one, under the first name."""
    first: dict[Vocabulary, Vocabulary] = {}
    layers = {}
    for path, layer in found.items():
        vocabulary = vocabulary_of(layer, path)
        layers[path] = first.setdefault(replace(vocabulary, name=""), vocabulary)
    return layers


def vocabulary_of(layer: Any, name: str) -> Vocabulary:
    """What a lookup does, as a value.

    Raises:
        ExportError: it turns ids into tokens, or gives sparse tensors.
    """
    wrong = [what for what in ("invert", "sparse") if getattr(layer, what, False)]
    if wrong:
        raise ExportError(
            f"The layer {name!r} is a {type(layer).__name__} with {wrong[0]}=True, which has no "
            "place in a TFLite file; expected one that gives ids, or dense counts. Give ids as "
            "outputs, or leave the layer out of the exported signature's model."
        )
    encoded = layer.output_mode != "int"
    if isinstance(layer, _K.Hashing):
        salt = None if layer.salt is None else (int(layer.salt[0]), int(layer.salt[1]))
        return HashedVocabulary(name, layer.num_bins, _text(layer.mask_value), salt, encoded)
    kind = StringVocabulary if isinstance(layer, _K.StringLookup) else IntegerVocabulary
    terms = tuple(_text(term) for term in layer.get_vocabulary(include_special_tokens=False))
    mask, unknown = _text(layer.mask_token), _text(layer.oov_token)
    return kind(name, terms, layer.num_oov_indices, mask, unknown, encoded)


def _text(token: Any) -> Any:
    if isinstance(token, bytes):
        return token.decode()
    return int(token) if isinstance(token, np.integer) else token


def _one_each(signature: str, reads: Mapping[str, Sequence[Vocabulary]]) -> dict[str, Vocabulary]:
    for name, several in reads.items():
        different = list({v.name: v for v in several})
        if len(different) > 1:
            raise ExportError(
                f"The input {name!r} of {signature!r} is read by the lookups {different}, whose "
                "ids differ; expected one vocabulary for each input. Give the signature an input "
                "for each lookup."
            )
    return {name: several[0] for name, several in reads.items()}


def _with_ids(signature: Signature, inputs: Mapping[str, Vocabulary]) -> Signature:
    specs = {
        name: tf.TensorSpec(spec.shape, tf.int32) if name in inputs else spec
        for name, spec in signature.inputs.items()
    }
    return Signature(signature.function, specs)


class Passing(Layer):  # type: ignore[misc]
    """In the place of a lookup: gives the ids that it is given, and the default for any other.

    While `heard` is a list it takes down what reaches it, and gives zeros.
    """

    def __init__(self, lookup: Any, vocabulary: Vocabulary) -> None:
        super().__init__(name=lookup.name, dtype=lookup.dtype)
        self.vocabulary = vocabulary
        self.listen(False)
        self._output_mode = lookup.output_mode
        self._weights_of_terms = None
        if lookup.output_mode == "tf_idf":
            self._weights_of_terms = np.array(lookup.idf_weights)
        self._depth = vocabulary.size
        if getattr(lookup, "pad_to_max_tokens", False):
            self._depth = lookup.max_tokens

    def listen(self, whether: bool) -> None:
        """Begins to take down what comes, or stops; past Keras, which would track the list."""
        self.__dict__["heard"] = [] if whether else None

    def call(self, inputs: Any) -> Any:
        """Ids `[...]`, or their counts, as the lookup gives them."""
        ids = self._ids(inputs)
        if self.vocabulary.default != NOTHING:
            return tf.cast(ids, self.compute_dtype)
        weights = self._weights_of_terms
        return _encode(ids, self._output_mode, self._depth, self.compute_dtype, idf_weights=weights)

    def _ids(self, inputs: Any) -> Any:
        if self.heard is not None:
            self.heard.append(np.array(inputs))
            return tf.zeros_like(inputs, tf.int32)
        fixed = tf.get_static_value(inputs)
        if fixed is not None:  # tokens that stand in the model's code
            return tf.constant(self.vocabulary(fixed))
        if inputs.dtype == tf.string:  # Keras draws its graph; nobody runs it on ids
            return tf.zeros_like(inputs, tf.int32)
        return within(as_int32(inputs), self.vocabulary.size, self.vocabulary.default)


def within(ids: Any, size: int, default: int) -> Any:
    """Ids int32 `[...]`, those that are not among 0 to size - 1 as the default.

    Where the default is -1 it is left to the operator that counts, which counts none of them.

    Example:
        >>> import tensorflow as tf
        >>> within(tf.constant([0, 4, 5, -1]), size=5, default=1).numpy().tolist()
        [0, 4, 1, 1]
    """
    if default == NOTHING:
        return ids
    if default == 0:  # one operator less
        return tf.where(ids < size, tf.maximum(ids, 0), 0)
    return tf.where((ids >= 0) & (ids < size), ids, default)
