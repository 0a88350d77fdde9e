"""Walking, copying and replacing layers of models of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras
from small_models import IDS, LENGTH, NAMES, UNITS, WIDTH, Block, ids

import tfcompress as tfc
from tfcompress.layers import Compressed
from tfcompress.surgery import Replacements, copy_model, replace_layers, walk

PRUNE = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(sparsity=0.5))])
ALL = tfc.Spec([tfc.rule(tfc.by_type("Dense") | tfc.by_type("Embedding"), tfc.Prune(0.5))])


def zeros(layer: Any, name: str = "kernel") -> float:
    return float((np.array(getattr(layer, name)) == 0).mean())


def paths(model: Any) -> list[str]:
    return [held.path for held in walk(model)]


# --- walk ---------------------------------------------------------------------------------------


def test_walk_names_every_layer_by_its_place():
    assert paths(small_models.sequential()) == ["table", "mean", "hidden", "head"]
    found = paths(small_models.subclassed())
    assert found[:3] == ["table", "enter", "blocks.0"]
    assert {"blocks.1.steps.0", "blocks.0.gates.in", "named.last.steps.1"} < set(found)
    assert {"pair.0", "pair.1", "tail", "tail.head"} < set(found)


def test_walk_finds_a_shared_layer_once_with_all_its_places():
    model = small_models.subclassed()
    (held,) = [h for h in walk(model) if h.layer is model.enter]
    assert held.path == "enter"
    assert held.paths == ("enter", "same")


def test_walk_survives_layers_that_hold_each_other():
    first, second = Block(4), Block(4)
    first.other, second.other = second, first
    assert "other.steps.0" in paths(first)


def test_walk_looks_at_a_compressed_layer_and_not_into_it():
    student = tfc.apply(small_models.sequential(), PRUNE)
    assert paths(student) == ["table", "mean", "hidden", "head"]
    (info,) = [held.info for held in walk(student) if held.path == "hidden"]
    assert {"Dense", "Compressed"} < set(info.types)


# --- copy ---------------------------------------------------------------------------------------


def test_a_copy_has_the_same_outputs_and_shares_no_variable(family):
    model = family.build()
    copied = copy_model(model)
    assert type(copied) is type(model)
    np.testing.assert_array_equal(family.outputs(copied), family.outputs(model))
    assert not {id(v) for v in copied.variables} & {id(v) for v in model.variables}
    assert [v.shape for v in copied.weights] == [v.shape for v in model.weights]


def test_a_copy_of_a_compiled_and_trained_model_is_a_model_that_trains(family):
    model = family.compiled(family.build())
    model.fit(family.data(), epochs=1, verbose=0)
    before = family.outputs(model)
    copied = copy_model(model)
    assert not copied._is_compiled
    family.compiled(copied).fit(family.data(), epochs=1, verbose=0)
    np.testing.assert_array_equal(family.outputs(model), before)
    assert np.abs(family.outputs(copied) - before).max() > 1e-4


def test_a_copy_keeps_regularizers_and_constraints():
    model = keras.Sequential(
        [
            keras.layers.Dense(
                3, kernel_regularizer="l2", kernel_constraint="non_neg", input_shape=(4,)
            )
        ]
    )
    copied = copy_model(model)
    model.layers[0].kernel.assign(tf.zeros((4, 3)))
    copied.layers[0].kernel.assign(tf.ones((4, 3)))
    assert float(copied.losses[0]) == pytest.approx(0.12)
    assert float(model.losses[0]) == 0.0
    copied.compile(keras.optimizers.SGD(1.0), "mse")
    copied.fit(tf.ones((8, 4)), -100 * tf.ones((8, 3)), verbose=0)
    assert float(tf.reduce_min(copied.layers[0].kernel)) == 0.0


def test_a_copy_keeps_batch_normalization_and_what_is_not_trainable():
    model = keras.Sequential(
        [keras.layers.BatchNormalization(input_shape=(4,)), keras.layers.Dense(2)]
    )
    model.layers[1].trainable = False
    model(np.random.default_rng(0).normal(3, 2, (64, 4)), training=True)
    copied = copy_model(model)
    np.testing.assert_array_equal(
        copied.layers[0].moving_mean.numpy(), model.layers[0].moving_mean.numpy()
    )
    assert len(copied.trainable_weights) == len(model.trainable_weights) == 2


def test_a_copy_of_mixed_precision_computes_in_float16_too():
    model = keras.Sequential(
        [
            keras.layers.Embedding(9, 4, input_length=3, dtype="mixed_float16"),
            keras.layers.Flatten(dtype="mixed_float16"),
            keras.layers.Dense(5, dtype="mixed_float16"),
        ]
    )
    x = tf.constant([[1, 2, 3]])
    expected = model(x)
    both = tfc.rule(
        tfc.by_type("Dense") | tfc.by_type("Embedding"), tfc.Prune(0.1), tfc.Quantize(bits=8)
    )
    for student in (copy_model(model), tfc.apply(model, tfc.Spec([both]))):
        assert student(x).dtype == expected.dtype == tf.float16
        assert student.weights[0].dtype == tf.float32
        np.testing.assert_allclose(student(x), expected, atol=0.02)


@pytest.mark.parametrize("adapted", [False, True], ids=["vocabulary", "adapt"])
def test_a_copy_keeps_the_vocabulary_of_a_look_up(adapted):
    words = ["b", "a", "c"]
    lookup = keras.layers.StringLookup(vocabulary=None if adapted else words)
    if adapted:
        lookup.adapt(tf.constant(["c", "a", "a", "b", "b", "b"]))
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), lookup, keras.layers.Embedding(4, 3)]
    )
    copied = copy_model(model)
    batch = tf.constant([["a"], ["b"], ["c"], ["?"]])
    np.testing.assert_array_equal(copied(batch), model(batch))
    assert copied.layers[0].get_vocabulary() == lookup.get_vocabulary()
    assert len(np.unique(copied(batch).numpy(), axis=0)) == 4


def test_a_copy_keeps_an_adapted_text_vectorization_and_normalization():
    vectorize = keras.layers.TextVectorization(output_sequence_length=2)
    vectorize.adapt(["a b", "b c"])
    text = keras.Sequential(
        [keras.Input((), dtype="string"), vectorize, keras.layers.Embedding(5, 2)]
    )
    np.testing.assert_array_equal(
        copy_model(text)(tf.constant(["a c"])), text(tf.constant(["a c"]))
    )
    normalize = keras.layers.Normalization()
    normalize.adapt(np.arange(12.0).reshape(4, 3))
    numbers = keras.Sequential([keras.Input((3,)), normalize, keras.layers.Dense(2)])
    x = tf.constant([[1.0, 5.0, 9.0]])
    np.testing.assert_array_equal(copy_model(numbers)(x), numbers(x))


def test_a_functional_model_with_several_inputs_and_outputs():
    left, right = keras.Input((3,), name="left"), keras.Input((4,), name="right")
    dense = keras.layers.Dense(5, name="dense")
    both = keras.layers.Concatenate()([dense(left), right])
    model = keras.Model(
        {"left": left, "right": right},
        {"sum": keras.layers.Dense(2, name="sum")(both), "plain": dense.output},
    )
    batch = {"left": tf.ones((2, 3)), "right": tf.ones((2, 4))}
    student = tfc.apply(model, PRUNE)
    assert set(student(batch)) == {"sum", "plain"}
    kernel = model.get_layer("dense").kernel.numpy()
    mask = student.get_layer("dense").kernel.numpy() != 0
    np.testing.assert_allclose(
        student(batch)["plain"], np.ones((2, 3)) @ (kernel * mask), rtol=1e-5
    )


class OwnStep(keras.Model):
    """A Functional model with a training step, a metric, a variable and a layer of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps_taken = tf.Variable(0, trainable=False)
        self.mean = keras.metrics.Mean(name="own")

    def train_step(self, data: Any) -> Any:
        self.steps_taken.assign_add(1)
        logs = super().train_step(data)
        self.mean.update_state(1.0)
        return {**logs, "own": self.mean.result()}


def test_a_functional_subclass_keeps_its_own_training_step():
    inputs = keras.Input((4,))
    model = OwnStep(inputs, keras.layers.Dense(3)(inputs))
    student = tfc.apply(model, PRUNE)
    assert isinstance(student, OwnStep)
    student.compile("sgd", "mse")
    history = student.fit(tf.ones((8, 4)), tf.ones((8, 3)), batch_size=2, verbose=0)
    assert history.history["own"] == [1.0]
    assert int(student.steps_taken) == 4
    assert int(model.steps_taken) == 0


def test_layers_of_a_student_can_be_tapped_as_those_of_any_functional_model():
    model = small_models.sequential()
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Prune(0.5))]))
    tapped = keras.Model(student.input, student.get_layer("hidden").output)
    expected = keras.Model(model.input, model.get_layer("hidden").output)(ids())
    np.testing.assert_array_equal(tapped(ids()), expected)


@pytest.mark.parametrize("custom", [Block, None])
def test_a_layer_that_holds_layers_inside_a_network(custom):
    inner = Block(4) if custom else keras.layers.TimeDistributed(keras.layers.Dense(4))
    shape = (4,) if custom else (2, 4)
    model = keras.Sequential([keras.Input(shape), inner])
    student = tfc.apply(model, PRUNE)
    pruned = [h.path for h in walk(student) if isinstance(h.layer, Compressed)]
    assert len(pruned) == (3 if custom else 1)
    assert all(path.startswith(f"{inner.name}.") for path in pruned)
    assert not any(isinstance(h.layer, Compressed) for h in walk(model))


# --- replace ------------------------------------------------------------------------------------


def test_shared_layers_are_compressed_once_and_stay_shared():
    student = tfc.apply(small_models.subclassed(), PRUNE)
    assert isinstance(student.enter, Compressed)
    assert student.same is student.enter
    functional = tfc.apply(small_models.functional(), PRUNE)
    shared = functional.get_layer("shared")
    assert isinstance(shared, Compressed)
    assert len(shared._inbound_nodes) == 2
    assert sum(v is shared.layer.kernel for v in functional.trainable_variables) == 1
    kernels = [v for v in functional.trainable_variables if v.shape == (WIDTH, UNITS)]
    assert len(kernels) == 1


def test_layers_in_lists_dicts_tuples_and_nested_networks_are_compressed():
    student = tfc.apply(small_models.subclassed(), PRUNE)
    dense = [h for h in walk(student) if "Dense" in h.info.types]
    assert len(dense) == 1 + 3 * 3 + 1 + 1
    assert all(isinstance(h.layer, Compressed) and zeros(h.layer) == 0.5 for h in dense)
    assert isinstance(student.pair, tuple)
    assert set(student.named) == {"last"}


def test_one_layer_shared_between_a_network_and_an_attribute_stays_one():
    class Both(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(4)
            self.tower = keras.Sequential([keras.Input((4,)), self.dense])

        def call(self, inputs: Any) -> Any:
            return self.tower(inputs) + self.dense(inputs)

    model = Both()
    model(tf.ones((1, 4)))
    student = tfc.apply(model, PRUNE)
    assert student.tower.layers[0] is student.dense
    assert isinstance(student.dense, Compressed)


def test_the_order_of_weights_is_kept():
    model = small_models.tied()
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("hidden"), tfc.Quantize(bits=8))]))
    assert [w.shape for w in student.get_weights()] == [w.shape for w in model.get_weights()]
    assert [layer.name for layer in student.layers] == [layer.name for layer in model.layers]


def test_in_place_changes_the_model_itself():
    model = small_models.subclassed()
    assert tfc.apply(model, PRUNE, in_place=True) is model
    assert zeros(model.enter) == 0.5


class Stubborn(keras.Model):
    """Has a layer that cannot be set again."""

    def __init__(self) -> None:
        super().__init__()
        self.first = keras.layers.Dense(4)
        self.many = [keras.layers.Dense(4), keras.layers.Dense(4)]
        self.fixed = keras.layers.Dense(4)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "fixed" and "fixed" in vars(self):
            raise AttributeError("fixed is fixed")
        super().__setattr__(name, value)

    def call(self, inputs: Any) -> Any:
        return self.fixed(self.many[1](self.many[0](self.first(inputs))))


def test_in_place_puts_everything_back_where_something_fails():
    model = Stubborn()
    x = tf.random.normal((2, 4))
    outputs = model(x)
    layers, weights = [h.layer for h in walk(model)], model.get_weights()
    names = [layer.name for layer in model.layers]
    with pytest.raises(tfc.SurgeryError, match=r"Could not set Stubborn\.fixed.*plain attribute"):
        tfc.apply(model, PRUNE, in_place=True)
    assert all(a is h.layer for a, h in zip(layers, walk(model), strict=True))
    assert [layer.name for layer in model.layers] == names
    assert all(map(np.array_equal, model.get_weights(), weights))
    assert len(model.variables) == 8
    np.testing.assert_array_equal(model(x), outputs)
    assert type(model) is Stubborn


class Closure(keras.Model):
    """Calls a layer through a lambda that holds on to it."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(4)
        dense = self.dense
        self.act = lambda x: tf.nn.relu(dense(x))

    def call(self, inputs: Any) -> Any:
        return self.act(inputs)


def test_a_closure_over_a_layer_is_refused_with_its_name_and_a_way_out():
    model = Closure()
    model(tf.ones((1, 3)))
    with pytest.raises(tfc.CopyError, match=r"(?s)Closure\.act.*'dense'.*in_place=True"):
        tfc.apply(model, PRUNE)
    assert type(model.dense) is keras.layers.Dense
    # In place the closure would go on calling the plain layer: refused as well, and put back.
    with pytest.raises(tfc.StaleReferenceError, match=r"Closure\.act"):
        tfc.apply(model, PRUNE, in_place=True)
    assert type(model.dense) is keras.layers.Dense


def test_a_closure_over_a_layer_that_no_rule_touches_can_be_compressed_in_place():
    class Two(Closure):
        def __init__(self) -> None:
            super().__init__()
            self.head = keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.head(self.act(inputs))

    model = Two()
    model(tf.ones((1, 3)))
    spec = tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Prune(0.5))])
    assert zeros(tfc.apply(model, spec, in_place=True).head) == 0.5


def test_a_bound_method_held_as_an_attribute_follows_the_copy():
    class Bound(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(4)
            self.act = self.inner

        def inner(self, inputs: Any) -> Any:
            return self.dense(inputs)

        def call(self, inputs: Any) -> Any:
            return self.act(inputs)

    model = Bound()
    x = tf.random.normal((2, 3))
    model(x)
    student = tfc.apply(model, PRUNE)
    np.testing.assert_allclose(student(x), x @ student.dense.kernel, rtol=1e-5)


def test_an_attribute_that_cannot_be_copied_is_named():
    model = small_models.tied()
    model.reader = open(__file__)  # noqa: SIM115
    with pytest.raises(tfc.CopyError, match=r"Tied.reader.*in_place=True"):
        tfc.apply(model, PRUNE)
    tfc.apply(model, PRUNE, in_place=True)
    model.reader.close()


def test_a_model_that_computes_something_else_each_time_is_not_called_faithful():
    class Noisy(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(4)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs) + tf.random.normal((1, 4))

    model = Noisy()
    model(tf.ones((1, 3)))
    with pytest.raises(tfc.CopyError, match="computes something else.*in_place=True"):
        tfc.apply(model, PRUNE)


def test_replace_layers_refuses_nothing_and_changes_nothing_without_replacements():
    model = small_models.subclassed()
    layers = [h.layer for h in walk(model)]
    assert replace_layers(model, Replacements()) is model
    assert all(a is h.layer for a, h in zip(layers, walk(model), strict=True))


# --- what was made from a layer before it was replaced -------------------------------------------


def top_k_by_hand(model: Any, data: Any, k: int) -> float:
    """Share of users whose item is among the k best by the model's towers as they are now."""
    users = np.concatenate([model.user_tower(batch["user"]) for batch in data])
    items = model.item_tower(tf.constant(NAMES)).numpy()
    wanted = np.concatenate([batch["item"] for batch in data]).astype(str)
    ranks = np.argsort(-(users @ items.T), axis=1)[:, :k]
    hits = [NAMES.index(name) in row for name, row in zip(wanted, ranks, strict=True)]
    return float(np.mean(hits))


def top_k_anew(model: Any, data: Any) -> float:
    """The same by a metric made now, from the tower as it is now."""
    candidates = small_models.items_dataset().map(model.item_tower)
    metric = tfrs.metrics.FactorizedTopK(candidates=candidates, ks=(5,))
    for batch in data:
        metric.update_state(model.user_tower(batch["user"]), model.item_tower(batch["item"]))
    return float(metric.result()[0])


class OwnTower(keras.Model):
    """A tower of the user's own class."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_models.tower(NAMES, "inner")

    def call(self, names: Any) -> Any:
        return self.inner(names)


@pytest.mark.parametrize("own_class", [False, True], ids=["sequential", "subclassed"])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_factorized_top_k_evaluates_the_new_tower(own_class, in_place):
    keras.utils.set_random_seed(3)
    if own_class:
        items = OwnTower()
        items(tf.constant(NAMES[:2]))
        candidates = small_models.items_dataset().map(items)
        model = small_models.TwoTower(
            small_models.tower(small_models.USERS, "users"), items, candidates
        )
        model.compute_loss({"user": tf.constant(["user 1"]), "item": tf.constant(["item 1"])})
    else:
        model = small_models.two_tower()
    data = small_models.interactions()
    old = top_k_anew(model, data)
    spec = tfc.Spec(
        [
            tfc.rule(tfc.by_type("Embedding"), tfc.Factorize(rank=2)),
            tfc.rule(tfc.by_type("Dense"), tfc.Prune(sparsity=0.8)),
        ]
    )
    student = tfc.apply(model, spec, in_place=in_place)
    new = top_k_anew(student, data)
    assert new != old  # else this test could not tell them apart
    assert new == pytest.approx(top_k_by_hand(student, data, 5), abs=2 / 64)  # ties are rounded
    student.compile("sgd")
    found = student.evaluate(data, return_dict=True, verbose=0)
    assert found["factorized_top_k/top_5_categorical_accuracy"] == pytest.approx(new)


def test_a_factorized_top_k_follows_training_of_the_student():
    student = tfc.apply(small_models.two_tower(), PRUNE)
    student.compile(keras.optimizers.Adam(0.05))
    data = small_models.interactions()
    student.fit(data, epochs=3, verbose=0)
    found = student.evaluate(data, return_dict=True, verbose=0)
    expected = top_k_anew(student, data)
    assert found["factorized_top_k/top_5_categorical_accuracy"] == pytest.approx(expected)
    assert expected == pytest.approx(top_k_by_hand(student, data, 5), abs=2 / 64)


CAPTURED = {
    "lambda": lambda items: small_models.items_dataset().map(lambda x: items(x)),
    "prefetch": lambda items: small_models.items_dataset().map(items).prefetch(1),
    "zip": lambda items: tf.data.Dataset.zip(
        (small_models.items_dataset(), small_models.items_dataset().map(items))
    ),
}


@pytest.mark.parametrize("how", CAPTURED)
def test_a_dataset_that_cannot_be_mapped_anew_is_refused(how):
    model = small_models.two_tower(CAPTURED[how])
    with pytest.raises(tfc.CopyError, match=r"(?s)_candidates is a dataset.*in_place=True"):
        tfc.apply(model, PRUNE)
    with pytest.raises(tfc.StaleReferenceError, match=r"(?s)_candidates.*FactorizedTopK"):
        tfc.apply(model, PRUNE, in_place=True)
    assert not any(isinstance(h.layer, Compressed) for h in walk(model))


def test_an_index_computed_before_is_refused():
    items = small_models.tower(NAMES, "index")
    index = tfrs.layers.factorized_top_k.BruteForce(k=5)
    index.index(items(tf.constant(NAMES)))
    model = small_models.two_tower(lambda _: index)
    with pytest.raises(tfc.StaleReferenceError, match="index of candidates.*index the candidates"):
        tfc.apply(model, PRUNE)


def test_a_tied_table_reads_the_compressed_rows():
    model = small_models.tied()
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("table"), tfc.Quantize(bits=2))]))
    table = student.table.embeddings.numpy()
    assert all(len(np.unique(np.abs(row).round(6))) <= 2 for row in table)
    vectors = student.out(student.hidden(tf.reduce_mean(student.table(ids()), axis=1)))
    np.testing.assert_allclose(student(ids()), vectors @ table.T, rtol=1e-5)


def test_a_masked_sequence_still_reaches_layers_that_know_masks():
    model = keras.Sequential(
        [
            keras.layers.Embedding(IDS, 6, mask_zero=True, input_length=LENGTH),
            keras.layers.Dense(8, name="each"),
            keras.layers.LSTM(4),
        ]
    )
    batch = np.maximum(ids(), 1)
    batch[:, 3:] = 0
    for technique in (tfc.Quantize(bits=8), tfc.Factorize(rank=3)):
        both = tfc.by_type("Dense") | tfc.by_type("Embedding")
        student = tfc.apply(model, tfc.Spec([tfc.rule(both, technique)]))
        unpadded = batch[:, :3]
        for layer in student.layers:
            unpadded = layer(unpadded)
        np.testing.assert_allclose(student(batch), unpadded, rtol=1e-4, atol=1e-6)


class Scaled(keras.layers.Embedding):
    """An Embedding with a call of its own."""

    def call(self, inputs: Any) -> Any:
        return 3.0 * super().call(inputs)


def test_a_subclass_with_a_call_of_its_own_keeps_it():
    model = keras.Sequential([Scaled(IDS, 6, input_length=LENGTH, name="table")])
    spec = tfc.Spec([tfc.rule(tfc.by_type("Embedding"), tfc.Quantize(8), tfc.Factorize(2))])
    (row,) = tfc.plan(model, spec).layers
    assert row.skipped == (
        "Factorize: Factorize knows Dense, Embedding, EinsumDense and Conv2D, not Scaled",
    )
    student = tfc.apply(model, spec)
    np.testing.assert_allclose(
        student(ids()), 3 * tf.gather(student.layers[0].embeddings, ids()), rtol=1e-6
    )
    np.testing.assert_allclose(student(ids()), model(ids()), atol=0.01)
