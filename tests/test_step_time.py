"""What a training step does with its weights: no more passes than are needed, no whole tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.layers.grid import absmax_scale

ROWS, WIDTH = 5_000, 32


def table_of(*techniques: Any) -> Any:
    """An Embedding under some techniques."""
    model = keras.Sequential([keras.layers.Embedding(ROWS, WIDTH, input_length=3)])
    if techniques:
        spec = tfc.Spec([tfc.rule(tfc.by_type("Embedding"), *techniques)])
        model = tfc.apply(model, spec)
    return model.layers[0]


def traced(layer: Any, inputs: Any) -> Any:
    """The graph of a training call and its gradient, traced."""

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            result = tf.reduce_sum(layer(inputs, training=True) ** 2)
        return tape.gradient(result, layer.trainable_weights)

    return step.get_concrete_function()


def tensors(graph: Any, size: int) -> list[str]:
    """The operators that make a tensor of so many numbers or more."""
    return [
        op.type
        for op in graph.get_operations()
        for output in op.outputs
        if output.shape.is_fully_defined() and output.shape.num_elements() >= size
    ]


def fills(graph: Any, size: int) -> list[Any]:
    """The operators that make a constant of so many numbers."""
    found = [op for op in graph.get_operations() if op.type == "Fill"]
    return [op for op in found if op.outputs[0].shape.num_elements() == size]


@pytest.mark.parametrize(
    "techniques",
    [
        (),
        (tfc.Quantize(8),),
        (tfc.Quantize(4, tfc.PerBlock(32)),),
        (tfc.Quantize(4, scale=tfc.Deviations(2.0)),),
        (tfc.Prune(0.5),),
        (tfc.Prune(0.5), tfc.Quantize(4)),
        (tfc.Factorize(8),),
    ],
    ids=repr,
)
def test_a_step_makes_nothing_as_large_as_the_table_and_its_gradient_is_sparse(techniques):
    layer = table_of(*techniques)
    step = traced(layer, tf.constant([[1, 5, 5], [0, 11, 2]]))
    assert tensors(step.graph, ROWS) == []
    gradients = dict(zip([w.shape[0] for w in layer.trainable_weights], step(), strict=True))
    assert isinstance(gradients[ROWS], tf.IndexedSlices)


def test_a_kernel_is_passed_over_five_times_to_quantize_it_and_its_gradient_not_at_all():
    model = keras.Sequential([keras.layers.Dense(96, input_shape=(64,), use_bias=False)])
    rule = tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))
    step = traced(tfc.apply(model, tfc.Spec([rule])).layers[0], tf.ones((4, 64)))
    idle = {
        "ReadVariableOp",
        "StopGradient",
        "Identity",
        "IdentityN",
        "Fill",
    }  # a Fill nobody reads
    assert all(not op.outputs[0].consumers() for op in fills(step.graph, 64 * 96))
    made = [kind for kind in tensors(step.graph, 64 * 96) if kind not in idle]
    assert sorted(made) == ["Abs", "MatMul", "Mul", "RealDiv", "Round"]  # and Max reads once more


def settled() -> tuple[Any, Any]:
    """A pruned layer, and inputs for it."""
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.layers.Dense(96, input_shape=(64,), use_bias=False)])
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.5))]))
    return student, tf.random.normal((4, 64), seed=1)


def test_a_kernel_under_a_mask_that_stays_is_passed_over_once_and_its_gradient_not_at_all():
    student, x = settled()
    made = tensors(traced(student.layers[0], x).graph, 64 * 96)
    assert sorted(kind for kind in made if kind not in ("ReadVariableOp", "Identity")) == [
        "MatMul", "Mul",
    ]  # fmt: skip


@pytest.mark.parametrize("how", [{}, {"jit_compile": True}, {"run_eagerly": True}], ids=str)
def test_an_optimizer_that_remembers_moves_no_zero(how):
    student, x = settled()
    layer = student.layers[0]
    zero = layer.kernel.numpy() == 0
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.1)
    optimizer.build(student.trainable_variables)
    for slot in optimizer.variables[1:]:
        slot.assign(tf.fill(slot.shape, tf.cast(0.3, slot.dtype)))  # of training before it
    student.compile(optimizer, "mse", **how)
    for _ in range(3):
        student.fit(x, tf.ones((4, 96)), verbose=0)
        np.testing.assert_array_equal(layer.kernel.numpy() == 0, zero)
        np.testing.assert_array_equal(student(x, training=False), x @ layer.kernel)
        np.testing.assert_array_equal(student(x, training=True), x @ layer.kernel)


def test_weights_in_lower_precision_keep_the_bits_that_they_are_held_in():
    policy = keras.mixed_precision.Policy("mixed_bfloat16")
    layer = keras.layers.Dense(4, input_shape=(8,), dtype=policy)
    student = tfc.apply(
        keras.Sequential([layer]), tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.5))])
    )
    before = student.layers[0].layer.kernel.numpy()
    student(tf.ones((2, 8)), training=True)
    np.testing.assert_array_equal(student.layers[0].layer.kernel.numpy(), before)


@pytest.mark.parametrize("sign", [1, -1])
def test_one_scale_for_all_is_that_of_the_largest_magnitude_whatever_its_sign(sign):
    weights = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)
    weights[1, 2, 3] = sign * 9
    scale = absmax_scale(tf.constant(weights), [0, 1, 2], 4)
    assert scale.shape == (1, 1, 1)
    assert scale.numpy().item() == pytest.approx(9 / 7)
