"""The parts under Shrink: names of units, importance, costs, and what may mix channels."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import tfcompress as tfc
from tfcompress.layers.positions import kernel_multiply_adds
from tfcompress.surgery.dependencies import Axis, Units
from tfcompress.surgery.dependencies.activations import mixes_channels
from tfcompress.techniques.importance import powers_along, summed_at

L = keras.layers


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_units_are_the_connected_components_of_what_was_united(pairs):
    units = Units()
    labels = units.fresh(20)
    for a, b in pairs:
        units.unite(labels[[a]], labels[[b]])
    rows, columns = np.array([*pairs, (0, 0)]).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(20, 20))
    _, expected = connected_components(graph, directed=False)
    roots = units.roots(labels)
    np.testing.assert_array_equal(
        roots[:, None] == roots[None, :], expected[:, None] == expected[None, :]
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12),
    st.lists(st.integers(0, 9), max_size=3),
)
def test_a_reason_to_stay_is_everybodys_whatever_the_order(pairs, pinned):
    early, late = Units(), Units()
    first, second = early.fresh(10), late.fresh(10)
    early.pin(first[pinned], "why")
    for a, b in pairs:
        early.unite(first[[a]], first[[b]])
        late.unite(second[[a]], second[[b]])
    late.pin(second[pinned], "why")
    stays = [early.reason(label) for label in first]
    assert stays == [late.reason(label) for label in second]


def test_axes_tile_gates_and_repeat_depths():
    labels = np.array([3, 5])
    assert Axis("outputs", tile=3)(labels).tolist() == [3, 5, 3, 5, 3, 5]
    assert Axis("inputs", repeat=2)(labels).tolist() == [3, 3, 5, 5]


@pytest.mark.parametrize("order", [1, 2])
def test_powers_are_those_of_numpy(order):
    weight = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    norms = np.linalg.norm(weight.reshape(5, -1), ord=order, axis=1)
    np.testing.assert_allclose(powers_along(weight, order) ** (1 / order), norms, rtol=1e-6)


def test_sums_at_places_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    values, places = rng.normal(size=40), rng.integers(-1, 6, 40)
    expected = [values[places == place].sum() for place in range(6)]
    np.testing.assert_allclose(summed_at(values, places, 6), expected)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (L.Conv2D(4, 3, strides=2, padding="same"), (8, 8, 3), 4 * 4 * 3 * 3 * 3 * 4),
        (L.Conv1D(4, 3), (8, 3), 6 * 3 * 3 * 4),
        (L.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 3), 6 * 6 * 9 * 3 * 2),
        (L.SeparableConv2D(5, 3), (8, 8, 3), 6 * 6 * (9 * 3 + 3 * 5)),
        (L.EinsumDense("abc,cde->abde", (None, 2, 3)), (7, 4), 7 * 4 * 2 * 3),
        (L.EinsumDense("...x,xy->...y", 6), (7, 5, 4), 7 * 5 * 4 * 6),
        (L.BatchNormalization(), (8, 3), 0),
    ],
)
def test_multiply_adds_of_kernels(layer, shape, expected):
    layer(np.zeros((2, *shape), np.float32))
    assert kernel_multiply_adds(layer) == expected


class Custom(L.Layer):
    """Has a kernel, and does not say what shape it writes."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 2))

    def call(self, inputs):
        return tf.reduce_sum(inputs, axis=1) @ self.kernel

    def compute_output_shape(self, input_shape):
        raise NotImplementedError


def test_a_layer_of_the_users_is_not_asked_what_it_writes():
    layer = Custom()
    layer(np.zeros((2, 7, 3), np.float32))
    assert kernel_multiply_adds(layer) == 7 * 3 * 2


def test_a_cell_counts_one_step():
    layer = L.GRU(4)
    layer(np.zeros((2, 7, 3), np.float32))
    assert kernel_multiply_adds(layer.cell) == 3 * 12 + 4 * 12


def relu(x):
    return x


@pytest.mark.parametrize(
    ("activation", "mixes"),
    [
        (None, False),
        ("relu", False),
        ("gelu", False),
        ("softmax", True),
        (relu, True),  # a user's own, whatever its name
        (L.ReLU(), True),
    ],
)
def test_which_activations_may_mix_channels(activation, mixes):
    assert mixes_channels(keras.activations.get(activation)) == mixes


def test_the_readings_of_a_plan_are_printed_too():
    model = keras.Sequential([L.Dense(8, input_shape=(4,), name="d"), L.Dense(2, name="head")])
    planned = tfc.plan(model, tfc.Spec([tfc.rule(tfc.by_name("d"), tfc.Shrink(0.5))]))
    assert "4 of 8 inputs are left" in str(planned)
    assert planned.to_data()[1]["notes"] == ["4 of 8 inputs are left"]
    assert planned.to_data()[1]["multiply_adds_after"] == 8
