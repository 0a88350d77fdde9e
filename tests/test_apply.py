"""Apply, distill and finalize: what is particular to them beyond the laws."""

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.layers import Compressed, FactorizedEmbedding
from tfcompress.surgery import walk

BOTH = tfc.Spec(
    [
        tfc.rule(tfc.by_type("Embedding"), tfc.Factorize(rank=4), tfc.Quantize(bits=4)),
        tfc.rule(tfc.by_type("Dense"), tfc.Prune(sparsity=0.5), tfc.Quantize(bits=8)),
    ]
)


def test_the_result_is_not_compiled_and_of_the_users_class(family):
    model = family.compiled(family.build())
    student = tfc.apply(model, BOTH)
    assert not student._is_compiled
    assert model._is_compiled
    assert isinstance(student, type(model))
    assert type(student).__name__ == type(model).__name__
    assert student.name == model.name


def test_where_nothing_applies_it_is_a_plain_copy(family):
    model = family.build()
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Factorize(999))]))
    assert student is not model
    assert [type(h.layer) for h in walk(student)] == [type(h.layer) for h in walk(model)]
    np.testing.assert_array_equal(family.outputs(student), family.outputs(model))


def test_techniques_meet_at_one_layer_in_canonical_order():
    table = tfc.apply(small_models.sequential(), BOTH).get_layer("table")
    assert isinstance(table, Compressed)
    assert isinstance(table.layer, FactorizedEmbedding)
    assert set(table.transforms) == {"left", "right"}


def test_apply_without_a_spec_is_refused():
    with pytest.raises(tfc.SpecError, match="apply|plan received None; expected a Spec"):
        tfc.apply(small_models.sequential(), None)


def test_a_model_compressed_step_by_step_keeps_what_it_learnt():
    family = small_models.FAMILIES["functional"]
    prune = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.5))])
    quantize = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))])
    pruned = tfc.apply(family.build(), prune)
    family.compiled(pruned).fit(family.data(), verbose=0)
    both = tfc.apply(pruned, quantize)
    np.testing.assert_allclose(family.outputs(both), family.outputs(pruned), atol=0.02)
    zero = np.array(pruned.get_layer("shared").kernel) == 0
    assert zero.mean() == 0.5
    assert (np.array(both.get_layer("shared").kernel)[zero] == 0).all()


def test_finalize_leaves_the_student_as_it_was(family):
    student = tfc.apply(family.build(), BOTH)
    outputs, weights = family.outputs(student), student.get_weights()
    tfc.finalize(student)
    np.testing.assert_array_equal(family.outputs(student), outputs)
    assert all(map(np.array_equal, student.get_weights(), weights))
    assert any(isinstance(held.layer, Compressed) for held in walk(student))


def test_finalize_of_a_plain_model_is_a_copy(family):
    model = family.build()
    final = tfc.finalize(model)
    assert final is not model
    np.testing.assert_array_equal(family.outputs(final), family.outputs(model))


def test_a_whole_model_in_a_model_is_reached():
    inner = small_models.tied()
    inputs = keras.Input((5,), dtype=tf.int32)
    outer = keras.Model(inputs, keras.layers.Dense(3)(inner(inputs)))
    student = tfc.apply(outer, BOTH)
    assert isinstance(student.get_layer("tied").table, Compressed)
    assert type(inner.table) is keras.layers.Embedding
    assert np.abs(student(small_models.ids()) - outer(small_models.ids())).max() > 0


def test_two_towers_train_and_finalize():
    student = tfc.apply(small_models.two_tower(), BOTH)
    student.compile(keras.optimizers.Adam(0.02))
    data = small_models.interactions()
    losses = student.fit(data, epochs=4, verbose=0).history["total_loss"]
    assert losses[-1] < losses[0]
    final = tfc.finalize(student)
    names = tf.constant(small_models.NAMES)
    np.testing.assert_allclose(final.item_tower(names), student.item_tower(names), atol=1e-5)
    final.compile(), student.compile()
    assert final.evaluate(data, return_dict=True, verbose=0) == pytest.approx(
        student.evaluate(data, return_dict=True, verbose=0), rel=1e-3, abs=0.04
    )
