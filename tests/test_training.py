"""A compressed model trains, saves, loads and goes on where it stopped, in a strategy too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.surgery import walk

ROOT = Path(__file__).resolve().parents[1]
SPEC = tfc.Spec(
    [
        tfc.rule(tfc.by_type("Embedding"), tfc.Factorize(rank=4), tfc.Quantize(bits=4)),
        tfc.rule(
            tfc.by_type("Dense"),
            tfc.Prune(0.5, schedule=tfc.PolynomialDecay(end_step=6, frequency=2)),
            tfc.Quantize(bits=8),
        ),
    ]
)


small_families = [small_models.FAMILIES[name] for name in ("functional", "tfrs")]


def student_of(family: Any) -> Any:
    return tfc.apply(family.build(), SPEC)


def fit(family: Any, model: Any, epochs: int = 1) -> list[float]:
    model._train_counter.assign(0)
    history = model.fit(family.data(), epochs=epochs, verbose=0, shuffle=False).history
    return [float(loss) for loss in history["loss" if "loss" in history else "total_loss"]]


def without_chance(model: Any) -> Any:
    """The model with its dropout off, so that two runs are the same."""
    for held in walk(model):
        if isinstance(held.layer, keras.layers.Dropout):
            held.layer.rate = 0.0
    return model


def sparsity(model: Any) -> list[float]:
    dense = [held.layer for held in walk(model) if "Dense" in held.info.types]
    return [float((np.array(layer.kernel) == 0).mean()) for layer in dense]


def test_it_trains_with_fit_and_nothing_to_remember(family):
    student = family.compiled(without_chance(student_of(family)), learning_rate=0.02)
    assert max(sparsity(student)) < 0.1
    losses = fit(family, student, epochs=6)
    assert losses[-1] < losses[0]
    assert all(0.45 <= share <= 0.6 for share in sparsity(student))


def test_evaluate_and_predict_do_not_move_the_masks(family):
    student = family.compiled(student_of(family))
    before = [np.array(w) for w in student.non_trainable_weights]
    assert before
    student.evaluate(family.data(), verbose=0)
    student.predict(small_models.ids(), verbose=0)
    assert all(map(np.array_equal, student.non_trainable_weights, before))


def save_keras(student: Any, folder: Path, fresh: Any) -> Any:
    student.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def save_saved_model(student: Any, folder: Path, fresh: Any) -> Any:
    student.save(folder / "model", save_format="tf")
    return keras.models.load_model(folder / "model")


def save_weights(student: Any, folder: Path, fresh: Any) -> Any:
    student.save_weights(folder / "model.weights.h5")
    model = fresh()
    model.load_weights(folder / "model.weights.h5")
    return model


def save_checkpoint(student: Any, folder: Path, fresh: Any) -> Any:
    student.save_weights(folder / "checkpoint")
    model = fresh()
    model.load_weights(folder / "checkpoint").expect_partial().assert_existing_objects_matched()
    return model


@pytest.mark.parametrize(
    "save", [save_keras, save_saved_model, save_weights, save_checkpoint], ids=lambda f: f.__name__
)
def test_it_saves_and_loads_and_goes_on_training_where_it_stopped(family, save, tmp_path):
    student = family.compiled(without_chance(student_of(family)))
    fit(family, student)
    stopped = family.outputs(student)

    def fresh() -> Any:
        return family.compiled(without_chance(student_of(family)))

    loaded = save(student, tmp_path, fresh)
    np.testing.assert_array_equal(family.outputs(loaded), stopped)
    assert [w.shape for w in loaded.weights] == [w.shape for w in student.weights]
    if save is save_keras:  # with the optimizer's state: as if it had never stopped
        without_chance(loaded)
        assert fit(family, loaded, 2) == pytest.approx(fit(family, student, 2), rel=1e-5)
        np.testing.assert_allclose(family.outputs(loaded), family.outputs(student), atol=1e-4)
    else:
        if not loaded._is_compiled:
            family.compiled(loaded)
        fit(family, loaded, 2)
    assert all(0.45 <= share <= 0.6 for share in sparsity(loaded))  # its schedule went on


def test_a_loaded_model_can_be_saved_and_loaded_again(family, tmp_path):
    student = student_of(family)
    student.save(tmp_path / "one.keras")
    keras.models.load_model(tmp_path / "one.keras").save(tmp_path / "two.keras")
    again = keras.models.load_model(tmp_path / "two.keras")
    np.testing.assert_array_equal(family.outputs(again), family.outputs(student))


def test_a_second_apply_is_remembered_too(family, tmp_path):
    first = tfc.apply(
        family.build(), tfc.Spec([tfc.rule(tfc.by_name(family.dense), tfc.Prune(0.5))])
    )
    student = tfc.apply(first, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(bits=4))]))
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(family.outputs(loaded), family.outputs(student))
    final = tfc.finalize(loaded)
    final.save(tmp_path / "final.keras")
    plain = keras.models.load_model(tmp_path / "final.keras")
    np.testing.assert_allclose(family.outputs(plain), family.outputs(student), rtol=1e-4, atol=1e-6)


FRESH_PROCESS = """
import sys
import tfcompress
import numpy as np
import tf_keras as keras
model = keras.models.load_model(sys.argv[1])
outputs = model.predict(np.load(sys.argv[2]), verbose=0)
np.save(sys.argv[3], outputs)
model.fit(np.load(sys.argv[2]), outputs, verbose=0)
"""


def test_a_fresh_process_needs_only_to_import_tfcompress(tmp_path):
    history = keras.Input((5,), dtype="int32")
    rows = keras.layers.Embedding(40, 12)(history)
    hidden = keras.layers.Dense(16, activation="relu")(tf.reduce_mean(rows, axis=1))
    model = keras.Model(history, keras.layers.Dense(4)(hidden))
    student = tfc.apply(model, SPEC)
    student.compile("adam", "mse")
    student.fit(small_models.ids(), small_models.targets(), verbose=0)
    student.save(tmp_path / "model.keras")
    np.save(tmp_path / "ids.npy", small_models.ids())
    files = [str(tmp_path / name) for name in ("model.keras", "ids.npy", "outputs.npy")]
    done = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, *files], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        np.load(tmp_path / "outputs.npy"), student.predict(small_models.ids(), verbose=0), atol=1e-6
    )


# --- distribution -------------------------------------------------------------------------------


@pytest.mark.parametrize("family", small_families, ids=lambda f: f.name)
def test_a_model_built_in_a_strategy_can_be_compressed_outside_it(family, strategy):
    with strategy.scope():
        model = family.build()
    student = family.compiled(tfc.apply(model, SPEC))
    assert student.distribute_strategy is not strategy
    fit(family, student)
    assert all(type(v).__name__ == "ResourceVariable" for v in student.trainable_variables)


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_it_trains_in_a_distribution_strategy(family, strategy, where):
    model = None if where == "inside" else family.build()
    with strategy.scope():
        model = model or family.build()
        student = family.compiled(without_chance(tfc.apply(model, SPEC)), learning_rate=0.02)
    if where == "outside":
        np.testing.assert_array_equal(
            family.outputs(student), family.outputs(tfc.apply(model, SPEC))
        )
    assert student.distribute_strategy is strategy
    assert all(type(v).__name__ != "ResourceVariable" for v in student.trainable_variables)
    losses = fit(family, student, epochs=3)
    assert losses[-1] < losses[0]
    # 4 steps an epoch whatever the number of replicas, so the schedule ends after 6 of them.
    assert all(0.45 <= share <= 0.6 for share in sparsity(student))


@pytest.mark.parametrize("family", small_families, ids=lambda f: f.name)
def test_a_model_trained_in_a_strategy_saves_and_loads_outside_it(family, strategy, tmp_path):
    with strategy.scope():
        student = family.compiled(without_chance(student_of(family)))
    fit(family, student, epochs=2)
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(family.outputs(loaded), family.outputs(student), atol=1e-6)
    np.testing.assert_allclose(
        family.outputs(tfc.finalize(student)), family.outputs(student), atol=1e-5
    )


def test_two_replicas_take_the_same_steps_as_one(strategy):
    family = small_models.FAMILIES["sequential"]
    alone = family.compiled(student_of(family))
    with strategy.scope():
        together = family.compiled(student_of(family))
    assert fit(family, together, 2) == pytest.approx(fit(family, alone, 2), rel=1e-2)
    np.testing.assert_allclose(family.outputs(together), family.outputs(alone), atol=2e-2)


def test_the_mask_of_every_replica_moves(strategy):
    family = small_models.FAMILIES["sequential"]
    with strategy.scope():
        student = family.compiled(student_of(family))
    fit(family, student, epochs=3)
    masks = [weight for weight in student.weights if "_mask" in weight.name]
    assert masks
    for mask in masks:
        one, other = (np.array(copy) for copy in mask.values)
        np.testing.assert_array_equal(one, other)
        assert 0.45 <= (one == 0).mean() <= 0.6
