"""Features: heard inside any model, projected where widths differ, saved with the Distiller."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.distillation.hidden import Hints
from tfcompress.distillation.recorder import Recorder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 32)


def net(width: int, seed: int = 1, classes: int = 3) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.layers.Dense(width, activation="relu", input_shape=(6,), name="body"),
            keras.layers.Dense(classes, name="head"),
        ],
        name=f"net{seed}",
    )


def compiled(model: Any, optimizer: Any = None) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss)
    return model


def fit(model: Any, epochs: int = 1) -> dict[str, list[float]]:
    return model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history


def test_features_of_one_width_are_compared_as_they_are():
    student, teacher = net(8, 1), net(8, 2)
    own, taught = (model.get_layer("body")(X).numpy() for model in (student, teacher))
    distiller = compiled(tfc.distill(student, teacher, loss=tfc.Hidden("body"), weight=1.0))
    logs = distiller.train_on_batch(X, Y, return_dict=True)
    assert logs["distillation_loss"] == pytest.approx(((own - taught) ** 2).mean(), rel=1e-5)
    assert distiller.hints.weights == []


def test_a_projection_is_learnt_where_widths_differ_by_its_gradient():
    student, teacher = net(5, 1), net(8, 2)
    own, taught = (model.get_layer("body")(X).numpy() for model in (student, teacher))
    distiller = compiled(tfc.distill(student, teacher, loss=tfc.Hidden("body"), weight=1.0))
    kernel, bias = (w.numpy() for w in distiller.hints.weights)
    before = student.get_layer("body").get_weights()
    error = own @ kernel + bias - taught
    logs = distiller.train_on_batch(X, Y, return_dict=True)
    assert logs["distillation_loss"] == pytest.approx((error**2).mean(), rel=1e-5)
    to_outputs = 2 * error / error.size
    new_kernel, new_bias = (w.numpy() for w in distiller.hints.weights)
    np.testing.assert_allclose(new_kernel, kernel - 0.1 * own.T @ to_outputs, atol=1e-6)
    np.testing.assert_allclose(new_bias, bias - 0.1 * to_outputs.sum(0), atol=1e-6)
    to_body = (to_outputs @ kernel.T) * (own > 0)
    body = student.get_layer("body").get_weights()
    np.testing.assert_allclose(body[0], before[0] - 0.1 * X.T @ to_body, atol=1e-6)


def test_features_become_alike_and_layers_keep_their_own_call():
    student, teacher = net(5, 1), net(8, 2)
    loss = tfc.Combined((tfc.SoftLabels(2.0), tfc.Hidden("body")), shares=(0.5, 0.5))
    distiller = compiled(tfc.distill(student, teacher, loss=loss, weight=0.9))
    history = fit(distiller, epochs=30)["distillation_loss"]
    assert history[-1] < 0.5 * history[0]
    for model in (student, teacher):
        assert all("call" not in vars(layer) for layer in model.layers)


@pytest.mark.parametrize("compress", [False, True])
def test_any_kind_of_model_is_heard(family, compress):
    teacher, student = family.build(), family.build()
    if compress:
        rules = [tfc.rule(tfc.by_type(kind), tfc.Quantize(8)) for kind in ("Dense", "Embedding")]
        student = tfc.apply(student, tfc.Spec(rules))
    for variable in teacher.trainable_variables:
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.3))
    distiller = tfc.distill(student, teacher, loss=tfc.Hidden(("table", family.dense)), weight=1.0)
    history = family.compiled(distiller).fit(family.data(), epochs=5, verbose=0).history
    assert 0.0 < history["distillation_loss"][-1] < history["distillation_loss"][0]
    np.testing.assert_array_equal(family.outputs(distiller), family.outputs(student))


def test_layers_below_layers_are_named_by_their_path():
    family = small_models.FAMILIES["subclassed"]
    pairs = (
        ("blocks.0", "blocks.1"),
        ("tail.head", "tail.head"),
        ("named.last.gates.in", "pair.0"),
    )
    distiller = tfc.distill(family.build(), family.build(), loss=tfc.Hidden(pairs))
    history = family.compiled(distiller).fit(family.data(), epochs=3, verbose=0).history
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]


def test_a_forward_of_ones_own_is_heard_too():
    def forward(student: Any, teacher: Any, batch: Any) -> tfc.Outputs:
        x, y = batch
        logits = student(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        return tfc.Outputs(loss, logits, teacher(x))

    args = (net(5, 1), net(8, 2), 1.0, 0.5)
    one = compiled(tfc.distill(*args, forward, tfc.Hidden("body")))
    args = (net(5, 1), net(8, 2), 1.0, 0.5)
    other = compiled(tfc.distill(*args, None, tfc.Hidden("body")))
    other.hints.set_weights(one.hints.get_weights())
    assert fit(one)["distillation_loss"] == pytest.approx(fit(other)["distillation_loss"])


def test_hints_are_saved_with_the_distiller_and_go_on(tmp_path):
    loss = tfc.Combined((tfc.Logits(), tfc.Hidden("body")), shares=(0.5, 0.5))
    teacher = net(8, 2)
    distiller = tfc.distill(net(5, 1), teacher, loss=loss)
    compiled(distiller, keras.optimizers.Adam(0.01))
    fit(distiller)
    distiller.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for a, b in zip(loaded.hints.weights, distiller.hints.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert loaded.objective == loss
    assert fit(loaded.learn_from(teacher))["loss"] == pytest.approx(fit(distiller)["loss"])
    with pytest.raises(tfc.SpecError, match=r"widths \(\(5, 7\),\).*expected \(\(5, 8\),\)"):
        loaded.learn_from(net(7, 3))


def test_finalize_and_export_leave_hints_behind(tmp_path):
    distiller = compiled(tfc.distill(net(5, 1), net(8, 2), loss=tfc.Hidden("body")))
    fit(distiller)
    assert len(tfc.finalize(distiller).weights) == 4
    tfc.export(distiller, tmp_path / "small")


def test_replicas_hear_their_own_layers(strategy):
    def make() -> Any:
        return compiled(tfc.distill(net(5, 1), net(8, 2), loss=tfc.Hidden("body"), weight=0.5))

    alone = make()
    with strategy.scope():
        together = make()
    together.hints.set_weights(alone.hints.get_weights())
    fit(alone, 2), fit(together, 2)
    for a, b in zip(
        [*alone.student.get_weights(), *alone.hints.get_weights()],
        [*together.student.get_weights(), *together.hints.get_weights()],
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_half_precision_features_are_compared_in_float32():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        student, teacher = net(5, 1), net(8, 2)
        distiller = tfc.distill(student, teacher, loss=tfc.Hidden("body"))
        compiled(distiller, keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1)))
        history = fit(distiller, 10)["distillation_loss"]
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert distiller.hints.weights[0].dtype == tf.float32
    assert history[-1] < history[0]


def test_two_listeners_at_once_hear_only_themselves():
    model = net(5)
    recorder = Recorder("student", model, ["body"])
    with recorder.listening() as outer:
        model(X[:2])
        with recorder.listening() as inner:
            model(X[:3])
    assert (outer["body"].shape[0], inner["body"].shape[0]) == (2, 3)
    assert "call" not in vars(model.get_layer("body"))


class Inside(keras.Model):
    """Calls one layer in a function of its own, and reads the weights alone of another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = keras.layers.Dense(4), keras.layers.Dense(3)
        self.unused = keras.layers.Dense(3)
        self.unused.build((None, 4))
        self.lookup = keras.layers.Lambda(lambda x: (x, x))

    def call(self, inputs: Any) -> Any:
        hidden, _ = self.lookup(tf.function(self.first)(inputs))
        return self.second(hidden) + tf.matmul(hidden, self.unused.kernel)


def inside() -> Any:
    model = Inside()
    model(X)
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.Hidden(()), "Hidden received no layers"),
        (lambda: tfc.Hidden((("a", "b", "c"),)), r"the pair \('a', 'b', 'c'\); expected two paths"),
        (lambda: tfc.Hidden(((1, "b"),)), r"the pair \(1, 'b'\)"),
        (
            lambda: tfc.distill(net(5), net(8, 2), loss=tfc.Hidden("bod")),
            r"layer 'bod', which the student 'net1' does not have; expected one of \['body', 'head'",
        ),
        (
            lambda: tfc.distill(net(5), net(8, 2), loss=tfc.Hidden((("body", "tail"),))),
            "layer 'tail', which the teacher 'net2'",
        ),
        (
            lambda: tfc.distill(net(5), [net(8, 2), net(8, 3)], loss=tfc.Hidden("body")),
            "Hidden received 2 teachers; expected one",
        ),
        (
            lambda: tfc.distill(Inside(), inside(), loss=tfc.Hidden("second")),
            "student 'inside.*' was never called.*Call it on a batch first",
        ),
        (
            lambda: tfc.distill(inside(), inside(), loss=tfc.Hidden("unused")),
            "layer 'unused' was not called in its forward pass; expected a layer that is called",
        ),
        (
            lambda: tfc.distill(inside(), inside(), loss=tfc.Hidden("lookup")),
            r"layer 'lookup' gave \[tf.float32, tf.float32\]; expected one float tensor",
        ),
        (
            lambda: tfc.distill(inside(), inside(), loss=tfc.Hidden("first")),
            "layer 'first' is called inside a tf.function or loop of its own",
        ),
        (
            lambda: Hints([("a", "b")], [(4, 4)]).compared(
                {"a": tf.zeros((2, 5, 4))}, {"b": tf.zeros((2, 6, 4))}
            ),
            r"features \(2, 5, 4\) of the student's 'a' and \(2, 6, 4\) .*differ in their last",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
