"""The models whose training steps are measured: plain, by tfcompress and by TF-MOT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tfcompress as tfc
from tfcompress.keras import keras, tf, tfmot

PLAIN = ("nothing", "Keras")
ONCE = "prune, mask set once"
RARELY, ALWAYS = "prune, mask moves every 100 steps", "prune, mask moves every step"
BOTH = "prune (every 100 steps) and quantize weights"
XLA = ", step compiled by XLA"
_NEVER = 1_000_000_000  # steps between two moves
Step = Callable[[], Any]


@dataclass(frozen=True)
class Sizes:
    """What is trained.

    Attributes:
        widths: of the input, the hidden layers and the output.
        batch: examples in a step.
        sparsity: share of zeros where the model is pruned.
    """

    widths: tuple[int, ...] = (256, 512, 512, 512, 10)
    batch: int = 128
    sparsity: float = 0.8


def plain_model(sizes: Sizes) -> Any:
    """A Functional model of Dense layers; its outputs are logits."""
    outputs = inputs = keras.Input((sizes.widths[0],))
    for width in sizes.widths[1:-1]:
        outputs = keras.layers.Dense(width, activation="relu")(outputs)
    return keras.Model(inputs, keras.layers.Dense(sizes.widths[-1])(outputs))


def _copy(model: Any) -> Any:
    # TF-MOT's wrappers take the layers that they are given, and write to them.
    new = keras.models.clone_model(model)
    new.set_weights(model.get_weights())
    return new


def _compressed(model: Any, *techniques: Any) -> Any:
    return tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), *techniques)]))


def _prune(sizes: Sizes, frequency: int) -> tfc.Prune:
    return tfc.Prune(sizes.sparsity, schedule=tfc.ConstantSparsity(frequency=frequency))


def _tfmot_pruned(model: Any, sizes: Sizes, frequency: int) -> Any:
    sparsity = tfmot.sparsity.keras
    schedule = sparsity.ConstantSparsity(sizes.sparsity, begin_step=0, frequency=frequency)
    return sparsity.prune_low_magnitude(_copy(model), pruning_schedule=schedule)


class _WeightsAlone(tfmot.quantization.keras.QuantizeConfig):  # type: ignore[misc]
    """TF-MOT's quantizer on what tfcompress quantizes: the kernels, per channel."""

    _quantizer = tfmot.quantization.keras.quantizers.LastValueQuantizer(
        num_bits=8, per_axis=True, symmetric=True, narrow_range=True
    )

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        """The kernel."""
        return [(layer.kernel, self._quantizer)]

    def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
        """Puts the quantized kernel in."""
        layer.kernel = quantize_weights[0]

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        """None."""
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        """Nothing to set."""
        del layer, quantize_activations  # AutoGraph wants a statement

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """None."""
        return []

    def get_config(self) -> dict[str, Any]:
        """No arguments."""
        return {}


def _tfmot_weights_alone(model: Any) -> Any:
    quantization = tfmot.quantization.keras

    def annotated(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Dense):
            return quantization.quantize_annotate_layer(layer, _WeightsAlone())
        return layer

    with quantization.quantize_scope({"_WeightsAlone": _WeightsAlone}):
        return quantization.quantize_apply(
            keras.models.clone_model(_copy(model), clone_function=annotated),
            quantized_layer_name_prefix="",
        )


def _tfmot_both(model: Any, sizes: Sizes) -> Any:
    """Pruned first, then trained on its grid with its zeros preserved: TF-MOT has no other way."""
    pruned = _tfmot_pruned(model, sizes, frequency=1)
    stepper(pruned, sizes)()
    stripped = tfmot.sparsity.keras.strip_pruning(pruned)
    return tfmot.quantization.keras.quantize_apply(
        tfmot.quantization.keras.quantize_annotate_model(stripped),
        tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme(),
    )


def variants(sizes: Sizes) -> dict[tuple[str, str], Any]:
    """(what is done, by whom) → the model, all from the same weights."""
    model = plain_model(sizes)
    quantize = tfc.Quantize(bits=8)
    tfmot_quantized = tfmot.quantization.keras.quantize_model(_copy(model))
    return {
        PLAIN: _copy(model),
        ("nothing, again", "Keras"): _copy(model),
        (ONCE, "tfcompress"): _compressed(model, tfc.Prune(sizes.sparsity)),
        (ONCE, "TF-MOT"): _tfmot_pruned(model, sizes, _NEVER),
        (RARELY, "tfcompress"): _compressed(model, _prune(sizes, 100)),
        (RARELY, "TF-MOT"): _tfmot_pruned(model, sizes, 100),
        (ALWAYS, "tfcompress"): _compressed(model, _prune(sizes, 1)),
        (ALWAYS, "TF-MOT"): _tfmot_pruned(model, sizes, 1),
        ("quantize weights", "tfcompress"): _compressed(model, quantize),
        ("quantize weights", "TF-MOT"): _tfmot_weights_alone(model),
        ("quantize weights and activations", "TF-MOT"): tfmot_quantized,
        (BOTH, "tfcompress"): _compressed(model, _prune(sizes, 100), quantize),
        ("pruned before, quantize weights and activations", "TF-MOT"): _tfmot_both(model, sizes),
    }


def compiled_variants(sizes: Sizes) -> dict[tuple[str, str], Any]:
    """The same for models that `compile(jit_compile=True)` trains, where XLA fuses operators."""
    model = plain_model(sizes)
    return {
        (f"{PLAIN[0]}{XLA}", PLAIN[1]): _copy(model),
        (f"{ONCE}{XLA}", "tfcompress"): _compressed(model, tfc.Prune(sizes.sparsity)),
        (f"{RARELY}{XLA}", "tfcompress"): _compressed(model, _prune(sizes, 100)),
        (f"quantize weights{XLA}", "tfcompress"): _compressed(model, tfc.Quantize(bits=8)),
    }


def stepper(model: Any, sizes: Sizes, jit_compile: bool = False) -> Step:
    """A function that trains the model for one step."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(sizes.batch, sizes.widths[0])).astype(np.float32)
    y = rng.integers(0, sizes.widths[-1], sizes.batch)
    batches = iter(tf.data.Dataset.from_tensors((x, y)).cache().repeat())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=loss, jit_compile=jit_compile)
    train = model.make_train_function()
    if not any(hasattr(layer, "pruning_step") for layer in model.layers):
        return lambda: train(batches)
    callback = tfmot.sparsity.keras.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()

    def step() -> Any:
        callback.on_train_batch_begin(0)
        return train(batches)

    return step
