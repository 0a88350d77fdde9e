"""Finding the ranges of activations without training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.layers import Integer
from tfcompress.surgery import listening, walk


def observe(
    model: Any, batches: Iterable[Any], call: Callable[[Any, Any], Any] | None = None
) -> Any:
    """Runs a compressed model on some batches, and lets the ranges of its activations follow.

    It is for files without training, or with little of it: training moves the ranges itself. The
    weights stay what they are. Ranges are part of the compressed model, which sees other values
    than the model that it was made of; so this comes after `apply`.

    Args:
        model: what `apply` made of a spec with `QuantizeActivations`.
        batches: what the model is called on, one batch after another: inputs alone, no targets.
        call: from (model, batch) to anything, where `model(batch, training=False)` is not how the
            model is used.

    Returns:
        The same model.

    Raises:
        SpecError: no batch, or no layer whose activations have ranges.

    Example:
        >>> import numpy as np, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(4,))])
        >>> both = tfc.Quantize(bits=8), tfc.QuantizeActivations()
        >>> student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), *both)]))
        >>> tfc.observe(student, [np.ones((2, 4), np.float32)]).layers[0].ranges["inputs"]
        (0.0, 1.0)
    """
    rounded = [held.layer for held in walk(model) if isinstance(held.layer, Integer)]
    if not rounded:
        raise SpecError(
            f"observe received {type(model).__name__} {model.name!r}, of which no layer has ranges "
            "to find; expected what apply made of a spec with QuantizeActivations()."
        )
    count = 0
    with ExitStack() as stack:
        stack.enter_context(listening([]))  # every function runs eagerly
        for layer in rounded:
            stack.enter_context(layer.observing())
        for batch in batches:
            count += 1
            _ = call(model, batch) if call else model(batch, training=False)
    if not count:
        raise SpecError("observe received no batches; expected at least one.")
    return model
