"""Hearing what layers are called with, and what they answer, while a model runs eagerly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tfcompress.keras import tf

Note = Callable[[Any, Any], None]


@contextmanager
def listening(notes: Sequence[tuple[Any, Note]]) -> Iterator[None]:
    """While it is open, each call of a layer ends with `note(inputs, outputs)`, eager tensors.

    Example:
        >>> import tensorflow as tf
        >>> from tfcompress.keras import keras
        >>> layer, heard = keras.layers.Dense(2), []
        >>> with listening([(layer, lambda inputs, outputs: heard.append(outputs.shape))]):
        ...     _ = layer(tf.ones((3, 4)))
        >>> heard[0].as_list(), "call" in vars(layer)
        ([3, 2], False)
    """
    before = tf.config.functions_run_eagerly()
    with ExitStack() as stack:
        # A traced call would be heard once, with symbols, and not after that.
        tf.config.run_functions_eagerly(True)
        stack.callback(tf.config.run_functions_eagerly, before)
        for layer, note in notes:
            stack.enter_context(_heard(layer, note))
        yield


@contextmanager
def _heard(layer: Any, note: Note) -> Iterator[None]:
    # Past Keras's attribute tracking, and beside the class's own method.
    own, call = vars(layer).get("call"), layer.call

    @tf.autograph.experimental.do_not_convert
    def noted(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = call(inputs, *args, **kwargs)
        note(inputs, outputs)
        return outputs

    vars(layer)["call"] = noted
    try:
        yield
    finally:
        vars(layer).pop("call")
        if own is not None:
            vars(layer)["call"] = own
