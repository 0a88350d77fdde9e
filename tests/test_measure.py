"""What a stored layer costs, counted by hand."""

import numpy as np
import pytest
import tf_keras as keras

import tfcompress as tfc
from tfcompress.measure import LayerForm, WeightForm


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (WeightForm("kernel", (3, 5), 1), 15 * 4),
        # with a scale of 4 bytes and a zero point of 8
        (WeightForm("kernel", (3, 5), 1, bits=8, scales=5), 15 + 5 * 12),
        (WeightForm("kernel", (3, 5), 1, bits=4, scales=1), 8 + 12),
        (WeightForm("kernel", (3, 5), 1, bits=2, scales=1), 4 + 12),
        (WeightForm("kernel", (4, 32), 1, bits=4, scales=4, block=32), 64 + 4 * 2),
        (WeightForm("kernel", (3, 5), 1, sparsity=0.9), 15 * 4),
    ],
)
def test_bytes_of_a_matrix(form, expected):
    assert form.bytes == expected
    assert form.parameters == form.shape[0] * form.shape[1]


def test_a_layer_is_its_matrices_and_its_other_weights():
    kernel = WeightForm("kernel", (3, 5), 1, bits=8, scales=5)
    layer = LayerForm("head", None, "Dense", (kernel,), other=5, positions=7)
    assert layer.parameters == 20
    assert layer.bytes == 15 + 60 + 20
    assert layer.multiply_adds == 7 * 15
    halved = layer.with_weights(lambda w: WeightForm(w.name, w.shape, 1, bits=4))
    assert halved.bytes == 8 + 20


def test_looking_up_multiplies_nothing():
    assert WeightForm("embeddings", (10, 4), 0, lookup=True).multiply_adds == 0


def test_positions_are_counted_from_the_input():
    model = keras.Sequential([keras.layers.Dense(5, input_shape=(7, 3))])
    model(np.zeros((2, 7, 3), np.float32))
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Factorize(rank=1))])
    (row,) = tfc.plan(model, spec).layers
    assert row.before.multiply_adds == 7 * 3 * 5
    assert row.after.multiply_adds == 7 * (3 + 5)
    np.testing.assert_array_equal(row.before.value("kernel"), model.layers[0].kernel)
