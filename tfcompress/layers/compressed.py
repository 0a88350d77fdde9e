"""The one wrapper that masks and fake-quantizes any layer's weights."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers.weights import place_of, weight_of, weight_roles
from tfcompress.layers.zeroing import held_at_zero


@keras.utils.register_keras_serializable("tfcompress")
class Compressed(keras.layers.Wrapper):  # type: ignore[misc]
    """A layer that computes with transformed weights, and trains the ones beneath them.

    Inside a call, and wherever somebody reads `layer.kernel` or `layer.embeddings`, the weight is
    the transformed one: `t2(t1(weight))`. Nothing has to be stripped or called back: `finalized`
    gives the plain layer with those weights.

    Args:
        layer: the layer to wrap.
        transforms: for each weight's name, what is done to it, in order.

    Example:
        >>> import tensorflow as tf, tf_keras as keras
        >>> from tfcompress.layers import Compressed, FakeQuantizer
        >>> layer = Compressed(keras.layers.Dense(3), {"kernel": [FakeQuantizer(bits=2)]})
        >>> layer(tf.ones((1, 4))).shape.as_list()
        [1, 3]
        >>> len(set(layer.kernel.numpy().ravel().round(6)) - {0.0}) <= 2
        True
    """

    opaque = True  # see surgery.children

    def __init__(self, layer: Any, transforms: Mapping[str, Sequence[Any]], **kwargs: Any) -> None:
        kwargs.setdefault("name", layer.name)
        kwargs.setdefault("autocast", layer._autocast)  # ids as float16 would be other ids
        super().__init__(layer, **kwargs)
        # Past Keras's tracking, whose dictionaries refuse to be saved once they have grown.
        self.__dict__["_transforms"] = {name: list(chain) for name, chain in transforms.items()}
        self.__dict__["_counted"] = _Counted()
        self._ready = False
        self.supports_masking = layer.supports_masking
        if layer.built:
            self._add_transform_weights()
            self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Builds the layer inside, then what the transforms keep."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        self._add_transform_weights()
        self.built = True

    def _add_transform_weights(self) -> None:
        if self._ready:
            return
        self._ready = True
        for name, chain in self._transforms.items():
            for transform in chain:
                transform.build(self, name, weight_of(self.layer, name))

    def add_transform(self, name: str, transform: Any) -> None:
        """Gives a built layer one more transform, at work from now on.

        Masks come before quantizers, in whatever order they are added.
        """
        chain = self._transforms.setdefault(name, [])
        place = sum(other.order <= transform.order for other in chain)
        weight = self._through(name, chain[:place])
        transform.build(self, name, weight)
        transform.start(weight)
        before = [self._through(name, chain[:later]) for later in range(place, len(chain))]
        chain.insert(place, transform)
        for later, old in enumerate(before, place + 1):
            chain[later].restart(old, self._through(name, chain[:later]))

    _zeroed: Sequence[str] = ()  # weights that have the zeros of their masks in this very call

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        """What the layer computes with its transformed weights."""
        self._advance_if(training)
        if self.layer._expects_training_arg:
            kwargs["training"] = training
        if self.is_lookup():
            return self._lookup(inputs)
        if not self.layer._expects_mask_arg:  # Keras hands a mask to every `**kwargs`
            kwargs.pop("mask", None)
        self.__dict__["_zeroed"] = held_at_zero(self, training)
        try:
            with self._transformed():
                return self.layer(inputs, *args, **kwargs)
        finally:
            self.__dict__["_zeroed"] = ()

    def is_lookup(self) -> bool:
        """Whether a call is the look-up of some rows of a table."""
        # A subclass with a call of its own must be called.
        embedding = keras.layers.Embedding
        return isinstance(self.layer, embedding) and type(self.layer).call is embedding.call

    def _lookup(self, ids: Any) -> Any:
        # Only the rows of the batch are transformed, so that a large table's gradient stays sparse.
        ids = ids if ids.dtype in (tf.int32, tf.int64) else tf.cast(ids, tf.int32)
        chain = self._transforms["embeddings"]
        rows = tf.gather(vars(self.layer)["embeddings"], ids)
        for place, transform in enumerate(chain):
            table = functools.partial(self._through, "embeddings", chain[:place])
            rows = transform.rows(table, rows, ids)
        return tf.cast(rows, self.layer.compute_dtype)

    def _advance_if(self, training: Any) -> None:
        if training is None or (isinstance(training, (bool, int)) and not training):
            return
        if not self._first_call_of_step():
            return
        if isinstance(training, (bool, int)):
            self._advance()
            for name in held_at_zero(self, training):
                self._transforms[name][0].zero(weight_of(self.layer, name))
        else:
            tf.cond(tf.cast(training, tf.bool), self._advance, lambda: None)

    def _advance(self) -> None:
        for name, chain in self._transforms.items():
            for transform in chain:
                transform.advance(weight_of(self.layer, name))

    def _first_call_of_step(self) -> bool:
        # A layer that is called twice in a training step (by two towers) still takes one step:
        # each replica counts its first call in a graph. Not the first in the outermost graph: a
        # loop's body (steps_per_execution) or an inner function (jit_compile) is traced twice in
        # it, and only the second trace is run.
        if tf.executing_eagerly():
            return True
        context = tf.distribute.get_replica_context()
        # A strategy gives its replicas' numbers as constants of the graph.
        known = None if context is None else tf.get_static_value(context.replica_id_in_sync_group)
        replica = 0 if known is None else int(known)
        return self._counted.is_first(replica, tf.compat.v1.get_default_graph())

    def effective(self, name: str) -> Any:
        """The transformed weight, a float tensor of the weight's own shape."""
        return self._through(name, self._transforms[name][name in self._zeroed :])

    def before(self, name: str, transform: Any) -> Any:
        """The weight as it reaches one of its transforms."""
        chain = self._transforms[name]
        return self._through(name, chain[: chain.index(transform)])

    def _through(self, name: str, chain: Sequence[Any]) -> Any:
        result = tf.convert_to_tensor(weight_of(self.layer, name))
        for transform in chain:
            result = transform(result)
        return result

    @contextmanager
    def _transformed(self) -> Iterator[None]:
        # Written past Keras's attribute tracking: the variables remain the layer's weights.
        places = {name: place_of(self.layer, name) for name in self._transforms}
        kept = {name: attributes[last] for name, (attributes, last) in places.items()}
        dtype = self.layer.compute_dtype  # what mixed precision computes in
        new = {name: tf.cast(self.effective(name), dtype) for name in self._transforms}
        _put(places, new)
        try:
            yield
        finally:
            _put(places, kept)

    def __getattr__(self, name: str) -> Any:
        layer = self.__dict__.get("layer")
        if layer is None or name.startswith("_") or "_transforms" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name in self._transforms or isinstance(getattr(type(layer), name, None), property):
            with self._transformed():
                return getattr(layer, name)
        value = getattr(layer, name)
        if any(path.startswith(f"{name}.") for path in self._transforms):
            return _Part(self, value)
        return self._under_transform(value) if getattr(value, "__self__", None) is layer else value

    def _under_transform(self, method: Any) -> Any:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._transformed():
                return method(*args, **kwargs)

        return call

    @property
    def transforms(self) -> dict[str, tuple[Any, ...]]:
        """For each compressed weight, what is done to it, in order."""
        return {name: tuple(chain) for name, chain in self._transforms.items()}

    def finalized(self) -> Any:
        """The layer inside, without wrapper, its weights replaced by the transformed ones."""
        for name in self._transforms:
            # A weight below zero times a mask is -0.0; plus 0.0 it is 0.0, which takes no bytes.
            weight_of(self.layer, name).assign(self.effective(name) + 0.0)
        return self.layer

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask that the layer inside passes on."""
        return self.layer.compute_mask(inputs, mask)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output shape of the layer inside."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The layer and its transforms."""
        chains = {
            name: [keras.utils.serialize_keras_object(transform) for transform in chain]
            for name, chain in self._transforms.items()
        }
        return {**super().get_config(), "transforms": chains}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Compressed:
        """The wrapper of such a config."""
        config = dict(config)
        layer = keras.layers.deserialize(config.pop("layer"), custom_objects=custom_objects)
        chains = {
            name: [keras.utils.deserialize_keras_object(transform) for transform in chain]
            for name, chain in config.pop("transforms").items()
        }
        return cls(layer, chains, **config)


class _Part:
    """A layer inside a compressed one, read from outside: its weights are the transformed ones."""

    def __init__(self, wrapper: Compressed, part: Any) -> None:
        self._wrapper = wrapper
        self._part = part

    def __getattr__(self, name: str) -> Any:
        with self._wrapper._transformed():
            value = getattr(self._part, name)
        return _Part(self._wrapper, value) if isinstance(value, keras.layers.Layer) else value


def _put(places: Mapping[str, tuple[dict[str, Any], str]], values: Mapping[str, Any]) -> None:
    for name, (attributes, last) in places.items():
        attributes[last] = values[name]


class _Counted:
    """In which graphs a step was counted; a copy of a layer has counted none."""

    def __init__(self) -> None:
        self._graphs: dict[int, Any] = {}

    def is_first(self, replica: int, graph: Any) -> bool:
        """Whether neither this graph nor one around it counted for the replica; now it has."""
        known = self._graphs.setdefault(replica, weakref.WeakSet())
        outer = graph
        while outer is not None:
            if outer in known:
                return False
            outer = getattr(outer, "outer_graph", None)
        known.add(graph)
        return True

    def __deepcopy__(self, memo: dict[int, Any]) -> _Counted:
        return _Counted()


def raw(layer: Any) -> Any:
    """The layer inside a `Compressed` wrapper, or the layer itself."""
    return layer.layer if isinstance(layer, Compressed) else layer


def compressible(layer: Any) -> bool:
    """Whether the layer, or the one inside its wrapper, declares compressible weights."""
    return bool(weight_roles(raw(layer)))
