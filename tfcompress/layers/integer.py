"""The wrapper that holds a layer's activations on 8-bit grids, beside its weights on theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers.compressed import Compressed
from tfcompress.layers.observers import MovingAverage, Observer
from tfcompress.layers.ranges import around_zero, round_to_range
from tfcompress.value import from_data, to_data

INPUTS, OUTPUTS = "inputs", "outputs"
# What LiteRT computes inside the operator before it, whose output is what comes after.
_FUSED = (keras.activations.linear, keras.activations.relu, tf.nn.relu, tf.nn.relu6)


class Range:
    """One activation's range: variables of its layer that are no weights to train.

    Args:
        place: `inputs` or `outputs`.
        observer: how the range follows what is seen.
    """

    def __init__(self, place: str, observer: Observer) -> None:
        self.place = place
        self.observer = observer

    def build(self, layer: Any) -> None:
        """Adds the ends, and the count of batches seen, to the layer's weights."""
        # Each replica sees its own part of a batch; where the ends are read, they are averaged.
        how = {"trainable": False, "synchronization": tf.VariableSynchronization.ON_READ}
        mean, first = tf.VariableAggregation.MEAN, tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.low, self.high, self.seen = (
            layer.add_weight(
                name=f"{self.place}_{name}",
                shape=(),
                dtype="float32",
                initializer="zeros",
                aggregation=aggregation,
                **how,
            )
            for name, aggregation in (("low", mean), ("high", mean), ("seen", first))
        )

    @property
    def variables(self) -> list[Any]:
        """Both ends, and how many batches were seen."""
        return [self.low, self.high, self.seen]

    def observe(self, values: Any) -> None:
        """Moves the ends as the observer says."""
        new = self.observer.ends(tf.stop_gradient(values))
        moved = self.observer.moved((self.low, self.high), new)
        first = self.seen < 0.5
        ends = [tf.where(first, n, m) for n, m in zip(new, moved, strict=True)]
        low, high = around_zero(*ends)
        self.low.assign(low)
        self.high.assign(high)
        self.seen.assign_add(1.0)

    def rounded(self, values: Any) -> Any:
        """The float32 values on the grid, or as they are where nothing was seen yet."""
        known = self.seen > 0.5
        high = tf.where(known, self.high, 1.0)
        return tf.where(known, round_to_range(values, self.low, high), values)

    def surely_rounded(self, values: Any) -> Any:
        """The float32 values on the grid."""
        return round_to_range(values, self.low, self.high)


@keras.utils.register_keras_serializable("tfcompress")
class Integer(Compressed):
    """A layer whose operator has its inputs and outputs on 8-bit grids, as an integer file has.

    Ranges move in training, and in `tfcompress.observe`; in inference they stand. Until something
    was seen, activations are left as they are. The outputs that are rounded are those of the
    operator that a file has for the layer: with its bias and a ReLU, without any other activation.
    Of an EinsumDense they are those of the product alone, which LiteRT reshapes before the bias.

    Args:
        layer: the layer to wrap.
        transforms: for each weight's name, what is done to it, in order.
        observer: how ranges follow what is seen.
        places: what is rounded, `inputs` and `outputs` or one of them.
        frozen: ranges stand even in training, and are known: what `finalize` leaves.

    Example:
        >>> import tensorflow as tf, tf_keras as keras
        >>> from tfcompress.layers import FakeQuantizer, Integer
        >>> layer = Integer(keras.layers.Dense(3), {"kernel": [FakeQuantizer(bits=8)]})
        >>> _ = layer(tf.ones((1, 4)), training=True)
        >>> layer.ranges["inputs"]
        (0.0, 1.0)
    """

    def __init__(
        self,
        layer: Any,
        transforms: Mapping[str, Sequence[Any]],
        observer: Observer | None = None,
        places: Sequence[str] = (INPUTS, OUTPUTS),
        frozen: bool = False,
        **kwargs: Any,
    ) -> None:
        observer = observer or MovingAverage()
        # Past Keras's tracking, and before the weights are made.
        self.__dict__.update(
            observer=observer,
            _held={place: Range(place, observer) for place in places},
            _frozen=frozen,
            _observing=False,
        )
        super().__init__(layer, transforms, **kwargs)

    def _add_transform_weights(self) -> None:
        made = self._ready
        super()._add_transform_weights()
        if not made:
            for one in self._held.values():
                one.build(self)

    def add_transform(self, name: str, transform: Any) -> None:
        """Gives a built layer one more transform of a weight, at work from now on."""
        super().add_transform(name, transform)
        # Variables are saved by number: those of ranges come last, as in a layer made anew.
        own = {id(v) for one in self._held.values() for v in one.variables}
        self._non_trainable_weights.sort(key=lambda variable: id(variable) in own)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        """What the layer computes with its weights and activations on their grids."""
        inputs = self._through_range(INPUTS, inputs, training)
        with self._operator_ends(training) as ends:
            outputs = super().call(inputs, *args, training=training, **kwargs)
        return outputs if ends else self._through_range(OUTPUTS, outputs, training)

    @contextmanager
    def _operator_ends(self, training: Any) -> Iterator[bool]:
        """Rounds where the operator ends, inside the layer's call; whether there is such a place.

        The layer calls its activation last, so what stands there sees what the operator puts out.
        """
        attributes = vars(self.layer)
        if OUTPUTS not in self._held or "activation" not in attributes:
            yield OUTPUTS not in self._held
            return
        kept = {name: attributes[name] for name in ("activation", "bias") if name in attributes}

        @tf.autograph.experimental.do_not_convert
        def to_grid(values: Any) -> Any:
            return self._through_range(OUTPUTS, values, training)

        attributes.update(self._ended(to_grid, kept))
        try:
            yield True
        finally:
            attributes.update(kept)

    def _ended(self, to_grid: Callable[[Any], Any], kept: Mapping[str, Any]) -> dict[str, Any]:
        """The activation, and the bias, under which the layer rounds in the right place."""
        activation, bias = kept["activation"] or keras.activations.linear, kept.get("bias")
        convert = tf.autograph.experimental.do_not_convert
        if isinstance(self.layer, keras.layers.EinsumDense):

            def after_product(values: Any) -> Any:
                rounded = to_grid(values)
                shift = 0.0 if bias is None else tf.cast(bias, rounded.dtype)
                return activation(rounded if bias is None else rounded + shift)

            return {"activation": convert(after_product), "bias": None}
        if activation in _FUSED:
            return {"activation": convert(lambda values: to_grid(activation(values)))}
        return {"activation": convert(lambda values: activation(to_grid(values)))}

    def _through_range(self, place: str, values: Any, training: Any) -> Any:
        one = self._held.get(place)
        if one is None:
            return values
        wide = tf.cast(values, tf.float32)
        if self._frozen:
            return tf.cast(one.surely_rounded(wide), values.dtype)
        self._observe_if(one, wide, training)
        return tf.cast(one.rounded(wide), values.dtype)

    def _observe_if(self, one: Range, values: Any, training: Any) -> None:
        if self._observing or (isinstance(training, (bool, int)) and training):
            one.observe(values)
        elif tf.is_tensor(training):

            def observe() -> Any:
                one.observe(values)
                return True

            tf.cond(tf.cast(training, tf.bool), observe, lambda: False)

    @contextmanager
    def observing(self) -> Iterator[None]:
        """While it is open, ranges move at every call that runs eagerly."""
        self.__dict__["_observing"] = True
        try:
            yield
        finally:
            self.__dict__["_observing"] = False

    @property
    def places(self) -> tuple[str, ...]:
        """What is rounded: `inputs`, `outputs` or both."""
        return tuple(self._held)

    @property
    def ranges(self) -> dict[str, tuple[float, float] | None]:
        """For each place both ends of its range; None: nothing was seen yet."""
        found: dict[str, tuple[float, float] | None] = {}
        for place, one in self._held.items():
            low, high, seen = (float(tf.convert_to_tensor(v)) for v in one.variables)
            found[place] = (low, high) if seen > 0.5 else None
        return found

    def finalized(self) -> Any:
        """The layer with the weights that training saw, its activations on grids that stand.

        Where nothing was seen, nothing was rounded: it is then the plain layer.
        """
        layer = super().finalized()
        if None in self.ranges.values():
            return layer
        final = Integer(layer, {}, self.observer, self.places, frozen=True, name=self.name)
        for place, one in self._held.items():
            for new, old in zip(final._held[place].variables, one.variables, strict=True):
                new.assign(tf.convert_to_tensor(old))
        return final

    def get_config(self) -> dict[str, Any]:
        """The layer, its transforms, and what is rounded how."""
        own = {"observer": to_data(self.observer), "places": list(self.places)}
        return {**super().get_config(), **own, "frozen": self._frozen}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Compressed:
        """The wrapper of such a config."""
        config = {**config, "observer": from_data(config["observer"])}
        return super().from_config(config, custom_objects)


def ends_with_operator(layer: Any) -> bool:
    """Whether what a layer puts out is what its operator puts out, with nothing behind it."""
    plain = (None, keras.activations.linear)
    if isinstance(layer, keras.layers.EinsumDense):
        return layer.bias is None and layer.activation in plain
    return getattr(layer, "activation", None) in plain + _FUSED


def with_ranges(wrapper: Compressed, observer: Observer, places: Sequence[str]) -> Integer:
    """The layer of a wrapper, its transforms and what they keep, in one that holds ranges too."""
    chains = {
        name: [type(transform).from_config(transform.get_config()) for transform in chain]
        for name, chain in wrapper.transforms.items()
    }
    new = Integer(wrapper.layer, chains, observer, places, name=wrapper.name)
    for own in ("_trainable_weights", "_non_trainable_weights"):
        for target, source in zip(getattr(new, own), getattr(wrapper, own), strict=False):
            target.assign(source)
    return new
