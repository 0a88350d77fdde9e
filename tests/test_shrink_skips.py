"""What Shrink leaves as it is, and the reason it names; settings that cannot be."""

import re

import numpy as np
import pytest
import shrinkable
import tensorflow as tf
import tf_keras as keras
from shrinkable import network, plans, spec_of

import tfcompress as tfc

L = keras.layers


def reason(model, name, technique=None, where=None):
    rule = tfc.rule(where or tfc.by_name(name), technique or tfc.Shrink(0.5))
    row = plans(model, rule)[name]
    assert row.steps == ()
    return "\n".join(row.skipped)


class Own(L.Layer):
    def call(self, inputs):
        return inputs


STAYS = [
    (
        lambda: L.LayerNormalization(name="n"),
        "'n' .LayerNormalization. takes its mean and variance",
    ),
    (lambda: L.Softmax(name="n"), "'n' .Softmax. reads them, which cannot be followed"),
    (lambda: L.Activation("softmax", name="n"), "softmax in 'n' .Activation. may look at all"),
    (lambda: L.Activation(lambda x: x, name="n"), "<lambda> in 'n'"),
    (lambda: L.Lambda(lambda x: x, name="n"), "'n' .Lambda. reads them"),
    (lambda: Own(name="n"), "'n' .Own. reads them, which cannot be followed"),
    (lambda: L.Dropout(0.5, (None, 8), name="n"), "'n' .Dropout. reads them"),
    (lambda: L.Reshape((2, 4), name="n"), "'n' .Reshape. reads them"),
    (lambda: tf.nn.softmax, "TFOpLambda"),
    (lambda: lambda x: x[:, :4], "SlicingOpLambda"),
    (lambda: lambda x: x * np.arange(8.0), "TFOpLambda"),
    (lambda: lambda x: tf.reduce_mean(x, -1, keepdims=True), "TFOpLambda"),
]


@pytest.mark.parametrize(("make", "said"), STAYS, ids=[said for _, said in STAYS])
def test_what_cannot_be_followed_is_skipped_by_name(make, said):
    model = network(make())
    assert plans(network(), tfc.rule(tfc.by_name("d"), tfc.Shrink(0.5)))["d"].steps
    assert "its units must stay" in reason(model, "d")
    assert re.search(said, reason(model, "d"))


def test_outputs_and_what_is_added_to_inputs_must_stay():
    x = keras.Input((4,), name="x")
    d = L.Dense(4, name="d")(x)
    model = keras.Model(x, L.Dense(2, name="head")(d + x), name="net")
    assert "they are the inputs of 'net'" in reason(model, "d")
    assert "they are the outputs of 'net'" in reason(model, "head")


def test_an_activation_over_all_units_in_the_layer_itself():
    x = keras.Input((4,))
    model = keras.Model(x, L.Dense(2)(L.Dense(8, activation="softmax", name="d")(x)))
    assert "softmax in 'd' (Dense) may look at all of them" in reason(model, "d")


def test_layers_without_units_of_their_own_say_so():
    model = network(L.BatchNormalization(name="n"))
    assert "Shrink knows no units of BatchNormalization" in reason(model, "n")
    nested = network(Own(name="own"))
    assert "Shrink knows no units of Own" in reason(nested, "own")


def test_channels_first_stateful_and_grouped_layers_are_not_followed():
    x = keras.Input((4, 8, 8))
    y = L.Conv2D(8, 1, data_format="channels_first", name="c")(x)
    with_flat = keras.Model(x, L.Dense(2)(L.Flatten()(y)))
    assert "what it computes cannot be followed (see its data_format" in reason(with_flat, "c")
    grouped = keras.Model(w := keras.Input((8, 4)), L.Conv1D(8, 1, groups=2, name="c")(w))
    assert "what it computes cannot be followed" in reason(grouped, "c")
    z = keras.Input((5, 4), batch_size=2)
    model = keras.Model(z, L.Dense(2)(L.GRU(8, stateful=True, name="g")(z)))
    assert "'g' (GRU) is stateful" in reason(model, "g")


def test_the_width_of_attention_stays():
    x = keras.Input((5, 6))
    y = L.MultiHeadAttention(2, 3, name="m")(x, x)
    model = keras.Model(x, L.Dense(2)(L.Add()([y, L.Dense(6, name="d")(x)])))
    assert "'m' (MultiHeadAttention) writes them, of which Shrink removes heads only" in reason(
        model, "d"
    )


def test_layers_that_are_added_want_the_same():
    model = shrinkable.built("residual")
    assert "same as those of 'second', for which no rule asks the same" in reason(model, "first")
    row = plans(
        model,
        tfc.rule(tfc.by_name("first"), tfc.Shrink(0.5)),
        tfc.rule(tfc.by_name("second"), tfc.Shrink(0.25)),
    )["second"]
    assert "the same in 'first' and 'second', which are asked for Shrink(keep=0.5" in row.skipped[0]


def test_what_is_compressed_already_is_not_shrunk():
    pruned = tfc.apply(network(), spec_of(["d"], tfc.Prune(0.5)))
    assert "it is compressed already; shrink the layer before that" in reason(pruned, "d")
    quantized = tfc.apply(network(), spec_of(["head"], tfc.Quantize(8)))
    assert "'head' (Compressed) reads them" in reason(quantized, "d")


def test_tied_weights_must_stay():
    model = network()
    other = L.Dense(8, name="other")
    other.build((None, 4))
    other.kernel = model.get_layer("d").kernel
    x = keras.Input((4,))
    both = keras.Model(x, L.Dense(2)(L.Concatenate()([other(x), model.get_layer("d")(x)])))
    assert "one of its weights is held by 'other', too" in reason(both, "d")
    assert "one of its weights is held by 'd', too" in reason(both, "other")


def test_a_weight_that_an_operator_reads_must_stay():
    x = keras.Input((5,), dtype="int32")
    table = L.Embedding(40, 12, name="table")
    vectors = L.Dense(12, name="d")(L.GlobalAveragePooling1D()(table(x)))
    scores = tf.matmul(vectors, table.embeddings, transpose_b=True)
    model = keras.Model(x, scores)
    assert "one of its weights is read by" in reason(model, "table")


class Reader(keras.Model):
    """Holds a tower, and a layer of it."""

    def __init__(self):
        super().__init__()
        self.tower = network()
        self.inner = self.tower.get_layer("d")

    def call(self, inputs):
        return self.tower(inputs) + tf.reduce_sum(self.inner.kernel)


def test_a_layer_of_a_tower_that_others_hold_too_must_stay():
    model = Reader()
    model(np.zeros((1, 4), np.float32))
    row = plans(model, tfc.rule(tfc.by_name("*d") & tfc.by_type("Dense"), tfc.Shrink(0.5)))
    (said,) = [row.skipped for row in row.values() if row.before.layer is model.inner]
    assert "it is used by the code of Reader" in said[0]


def test_what_a_multiple_leaves_is_said():
    assert "keep=0.5, multiple=16 and minimum=1 leave all of its 8 units" in reason(
        network(), "d", tfc.Shrink(0.5, multiple=16)
    )


def test_measures_that_are_not_there_are_said():
    assert "no BatchNormalization scales its units" in reason(
        network(), "d", tfc.Shrink(0.5, importance=tfc.ByScale())
    )
    nothing = tfc.ByActivation(measured=())
    assert "ByActivation has 0 measures for 'd', which has 8 units" in reason(
        network(), "d", tfc.Shrink(0.5, importance=nothing)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.Shrink(0.0), "keep=0.0; expected 0 < keep <= 1"),
        (lambda: tfc.Shrink(1.5), "keep=1.5"),
        (lambda: tfc.Shrink(float("nan")), "keep=nan"),
        (lambda: tfc.Shrink(0.5, multiple=0), "multiple=0; expected a whole number from 1"),
        (lambda: tfc.Shrink(0.5, minimum=2.5), "minimum=2.5"),
        (lambda: tfc.Shrink(0.5, importance="l1"), r"importance='l1'; expected ByNorm\(order\)"),
        (lambda: tfc.ByNorm(3), "order=3; expected 1 or 2"),
        (lambda: tfc.ByActivation(("a", 1)), "expected pairs of a layer's path"),
        (lambda: tfc.ByActivation.measure(network(), []), "received no batch"),
        (lambda: tfc.Shrink(0.5).apply(L.Dense(2)), "expected a whole model"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()


def test_a_layer_by_itself_is_not_enough_to_plan():
    assert "sees whole models" in tfc.Shrink(0.5).plan(None).reason


@pytest.mark.parametrize(
    ("shrink", "count", "left"),
    [
        (tfc.Shrink(0.7), 10, 7),
        (tfc.Shrink(0.5), 5, 3),
        (tfc.Shrink(0.5, multiple=8), 20, 16),
        (tfc.Shrink(0.1, minimum=3), 10, 3),
        (tfc.Shrink(0.1, multiple=4, minimum=3), 10, 4),
        (tfc.Shrink(0.9, multiple=8), 20, 20),
        (tfc.Shrink(0.01), 10, 1),
    ],
)
def test_how_many_are_left(shrink, count, left):
    assert shrink.left(count) == left


def test_an_attention_of_other_projections_keeps_its_heads():
    x = keras.Input((3, 32))
    attended = L.MultiHeadAttention(2, 16, name="attention")(L.Dense(32, name="before")(x), x)
    model = keras.Model(x, L.Dense(2, name="head")(attended))
    shrink = tfc.rule(tfc.by_name("attention") | tfc.by_name("before"), tfc.Shrink(0.5))
    factorize = tfc.rule(tfc.by_type("EinsumDense"), tfc.Factorize(4))
    quantize = tfc.rule(tfc.by_type("EinsumDense"), tfc.Quantize(8))
    factorized = tfc.apply(model, tfc.Spec([factorize]))
    quantized = tfc.apply(model, tfc.Spec([quantize]))
    for start, rules in (
        (model, [shrink, factorize]),
        (factorized, [shrink]),
        (quantized, [shrink]),
    ):
        rows = plans(start, *rules)
        assert "compressed or factorized; shrink it before that" in rows["attention"].skipped[0]
        assert "'attention' (MultiHeadAttention) reads them" in rows["before"].skipped[0]
        tfc.apply(start, tfc.Spec(rules))
    assert plans(model, shrink, quantize)["attention"].steps  # canonically, Shrink comes first
