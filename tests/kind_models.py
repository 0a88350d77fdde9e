"""Every kind of layer of layer_kinds.py in every kind of model, in front of a Dense head."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras
from layer_kinds import KINDS, inputs_of, moved, register

import tfcompress as tfc

CLASSES = 4
_layers = keras.layers


@cache
def _alone(kind: str) -> Any:
    return KINDS[kind].build()


def layer_of(kind: str) -> Any:
    """A layer of this kind, not built."""
    plain = _alone(kind).layers[-1]
    return _layers.deserialize(_layers.serialize(plain))


def called(layer: Any, inputs: Any) -> Any:
    """Its outputs; an attention looks at its own inputs."""
    twice = isinstance(layer, _layers.MultiHeadAttention)
    return layer(inputs, inputs) if twice else layer(inputs)


def _input(kind: str) -> Any:
    like = _alone(kind).inputs[0]
    return keras.Input(like.shape[1:], dtype=like.dtype)


def _head() -> Any:
    return _layers.Dense(CLASSES, name="head")


def sequential(kind: str) -> Any:
    """The layer, BatchNormalization and ReLU, which a converter folds, and the head."""
    tail = [_layers.BatchNormalization(), _layers.ReLU(), _layers.Flatten(), _head()]
    if kind != "MultiHeadAttention":
        return keras.Sequential([_input(kind), layer_of(kind), *tail])
    inputs = _input(kind)  # a layer with two inputs needs a graph
    return keras.Model(inputs, keras.Sequential(tail)(called(layer_of(kind), inputs)))


def functional(kind: str) -> Any:
    """The layer, called once, and both a relu and a tanh of it into the head."""
    inputs = _input(kind)
    hidden = called(layer_of(kind), inputs)
    both = _layers.Concatenate()([_layers.ReLU()(hidden), tf.tanh(hidden)])
    return keras.Model(inputs, _head()(_layers.Flatten()(both)))


def _score(model: Any, inputs: Any) -> Any:
    hidden = called(model.steps[0], inputs)
    return model.head(tf.reshape(hidden, [tf.shape(hidden)[0], np.prod(hidden.shape[1:])]))


@register
class HoldsKind(keras.Model):
    """A subclassed model with the layer in a list."""

    def __init__(self, kind: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind, self.steps, self.head = kind, [layer_of(kind)], _head()

    def call(self, inputs: Any) -> Any:
        return _score(self, inputs)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind}


@register
class RanksKind(tfrs.Model):
    """A TFRS model with the layer in a list."""

    def __init__(self, kind: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind, self.steps, self.head = kind, [layer_of(kind)], _head()
        self.task = tfrs.tasks.Ranking(loss=keras.losses.MeanSquaredError(reduction="sum"))

    def call(self, inputs: Any) -> Any:
        return _score(self, inputs)

    def compute_loss(self, inputs: Any, training: bool = False) -> Any:
        x, y = inputs
        return self.task(labels=y, predictions=self(x, training=training))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind}


def _called_once(make: Callable[..., Any]) -> Callable[[str], Any]:
    def build(kind: str) -> Any:
        model = make(kind, name="kind")
        model(inputs(kind, count=2))
        return model

    return build


FAMILIES: dict[str, Callable[[str], Any]] = {
    "sequential": sequential,
    "functional": functional,
    "subclassed": _called_once(HoldsKind),
    "tfrs": _called_once(RanksKind),
}


def built(family: str, kind: str) -> Any:
    """A built model, always with the same weights."""
    keras.utils.set_random_seed(5)
    return moved(FAMILIES[family](kind))


def inputs(kind: str, seed: int = 0, count: int = 4) -> Any:
    """Inputs for a model around this kind of layer."""
    return inputs_of(_alone(kind), seed, count)


def trained(model: Any, x: Any, eagerly: bool = False) -> Any:
    """The model after one step of `fit` towards half of what it says."""
    loss = None if isinstance(model, tfrs.Model) else "mse"
    model.compile(keras.optimizers.SGD(0.01), loss, run_eagerly=eagerly)
    model.fit(x, np.asarray(model(x)) * 0.5, batch_size=len(x), verbose=0)
    return model


def signature(x: Any) -> dict[str, Any]:
    """One signature, for one example."""
    spec = tf.TensorSpec([1, *x.shape[1:]], tf.as_dtype(x.dtype))
    return {"serve": tfc.Signature(lambda m, x: m(x), {"x": spec})}
