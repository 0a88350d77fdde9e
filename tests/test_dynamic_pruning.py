"""Dynamic pruning: the sparsity goes as far as the validation metric lets it, and no further."""

import json

import numpy as np
import pytest
import small_models
import tensorflow as tf
import tf_keras as keras

import tfcompress as tfc
from tfcompress.dynamic.controller import Controller

FAMILY = small_models.FAMILIES["sequential"]


def student(most=0.9, scope=None, **compiled):
    prune = tfc.Prune(most, schedule=tfc.Followed(), scope=scope or tfc.PerLayer())
    model = tfc.apply(FAMILY.build(), tfc.Spec([tfc.rule(tfc.by_type("Dense"), prune)]))
    model.compile(**{"optimizer": keras.optimizers.Adam(0.01), "loss": "mse", **compiled})
    return model


def sparsities(model):
    return [float(np.mean(np.array(model.get_layer(n).kernel) == 0)) for n in ("hidden", "head")]


class Breaks(keras.callbacks.Callback):
    """A metric that falls from 1 to 0 where a layer has more zeros than it can do without."""

    def __init__(self, hidden, head=1.0):
        super().__init__()
        self.most = (hidden, head)

    def on_epoch_end(self, epoch, logs=None):
        now = sparsities(self.model)
        logs["val_made"] = float(all(a <= b for a, b in zip(now, self.most, strict=True)))


def dynamic(**settings):
    usual = {"maximize": True, "tolerance": 0.01, "step": 0.1}
    return tfc.DynamicPruning("val_made", **{**usual, **settings})


def fit(model, metric, callback, epochs, **more):
    data = small_models.ids(), small_models.targets()
    callbacks = [metric, callback, *more.pop("callbacks", [])]
    return model.fit(*data, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks, **more)


def everything(model):
    variables = [*model.variables, *model.optimizer.variables()]
    return [np.array(v) for v in variables]


class Keeps(keras.callbacks.Callback):
    """All weights and slots at the end of every epoch."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(everything(self.model))


@pytest.mark.parametrize("most", [0.34, 0.61])
def test_it_ends_within_one_step_below_where_the_metric_breaks(most):
    model, callback = student(), dynamic()
    history = fit(model, Breaks(most), callback, epochs=10).history
    assert most - 0.1 < callback.levels["all"] <= most
    assert most - 0.11 < sparsities(model)[0] <= most
    assert len(history["pruning_sparsity"]) == len(history["pruning_kept"]) == 10
    assert history["pruning_kept"].count(0.0) == 1
    assert history["pruning_sparsity"][-1] == callback.levels["all"]
    decisions = callback.decisions
    assert [d.epoch for d in decisions] == list(range(10))
    (failed,) = [d for d in decisions if not d.kept]
    assert failed.before <= most < failed.tried
    assert (failed.metric, failed.limit) == (0.0, 0.99)


def test_it_stops_at_the_sparsity_of_the_technique():
    model, callback = student(most=0.25), dynamic()
    fit(model, Breaks(1.0), callback, epochs=5)
    assert callback.levels == {"all": 0.25}
    assert sparsities(model) == [0.25, 0.25]


@pytest.mark.parametrize(
    "optimizer",
    [lambda: keras.optimizers.Adam(0.01), lambda: keras.optimizers.legacy.Adam(0.01)],
    ids=["adam", "legacy"],
)
def test_a_step_back_restores_weights_masks_and_slots_bit_for_bit(optimizer):
    model, callback, keeps = student(optimizer=optimizer()), dynamic(), Keeps()
    fit(model, Breaks(0.15), callback, epochs=3, callbacks=[keeps])
    assert [d.kept for d in callback.decisions] == [True, True, False]
    dense, kept, restored = keeps.ends
    assert len(kept) == len(restored)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(kept, restored, strict=True))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(dense, kept, strict=True))


def test_layers_one_by_one_end_each_at_its_own_sparsity():
    model, callback = student(), dynamic(stepping=tfc.OneByOne(), step=0.2)
    fit(model, Breaks(0.25, 0.65), callback, epochs=8)
    assert callback.levels == {"hidden": 0.2, "head": pytest.approx(0.6)}
    assert sparsities(model) == pytest.approx([0.2, 0.6], abs=0.02)
    steps = [d.group for d in callback.decisions if d.group]
    assert steps == ["hidden", "head", "hidden", "head", "head", "head"]


def test_two_layers_together_have_one_sparsity():
    model, callback = student(), dynamic(step=0.25)
    fit(model, Breaks(1.0, 0.6), callback, epochs=5)
    assert sparsities(model) == [0.5, 0.5]


def test_a_global_scope_stops_each_layer_at_its_own_share():
    model, callback = student(most=0.5, scope=tfc.Global()), dynamic(step=0.3)
    fit(model, Breaks(1.0), callback, epochs=5)
    kernels = [np.array(model.get_layer(n).kernel) for n in ("hidden", "head")]
    gone = sum((kernel == 0).sum() for kernel in kernels)
    assert gone / sum(kernel.size for kernel in kernels) == pytest.approx(0.5, abs=0.01)


def test_saved_in_the_middle_it_goes_on_as_if_never_stopped(tmp_path):
    whole, through = student(), dynamic()
    fit(whole, Breaks(0.35), through, epochs=6)
    first, before = student(), dynamic()
    fit(first, Breaks(0.35), before, epochs=3)
    first.save(tmp_path / "model.keras")
    written = json.dumps(before.state())
    second, after = keras.models.load_model(tmp_path / "model.keras"), dynamic()
    after.restore(json.loads(written))
    fit(second, Breaks(0.35), after, epochs=6, initial_epoch=3)
    assert after.decisions == through.decisions
    for a, b in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_with_zeros_and_no_state_is_refused():
    model = student()
    fit(model, Breaks(1.0), dynamic(), epochs=3)
    with pytest.raises(tfc.SpecError, match="20% zeros already, and no state.*restore"):
        fit(model, Breaks(1.0), dynamic(), epochs=1)


def test_a_state_or_a_model_of_other_layers_is_refused():
    one, other = dynamic(stepping=tfc.OneByOne()), dynamic()
    fit(student(), Breaks(1.0), one, epochs=1)
    other.restore(one.state())
    with pytest.raises(tfc.SpecError, match=r"a state of \['head', 'hidden'\]; expected one of"):
        fit(student(), Breaks(1.0), other, epochs=1)


def test_training_without_the_callback_is_an_error():
    model = student()
    with pytest.raises(tfc.SpecError, match=r"Followed\(\).*nobody who moves.*DynamicPruning"):
        model.fit(small_models.ids(), small_models.targets(), verbose=0)


def test_a_pruned_model_may_train_on_without_it(tmp_path):
    model = student()
    fit(model, Breaks(1.0), dynamic(), epochs=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    before = sparsities(loaded)
    loaded.fit(small_models.ids(), small_models.targets(), verbose=0)
    assert sparsities(loaded) == before == pytest.approx([0.2, 0.2], abs=0.01)


def test_a_model_without_such_a_schedule_is_refused():
    model = FAMILY.compiled(FAMILY.build())
    with pytest.raises(tfc.SpecError, match=r"without any layer pruned with Followed\(\)"):
        model.fit(FAMILY.data(), verbose=0, callbacks=[dynamic()])


def test_a_metric_that_is_not_there_is_an_error():
    callback = tfc.DynamicPruning("val_auc", maximize=True, tolerance=0.0, step=0.1)
    with pytest.raises(tfc.SpecError, match=r"monitor='val_auc'.*Pass validation_data"):
        fit(student(), Breaks(1.0), callback, epochs=1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"monitor": ""}, "monitor=''; expected the name"),
        ({"maximize": "max"}, "maximize='max'; expected True or False"),
        ({"tolerance": -0.1}, "tolerance=-0.1; expected from 0"),
        ({"tolerance": float("nan")}, "tolerance=nan"),
        ({"step": 0.0}, "step=0.0; expected 0 < step < 1"),
        ({"step": 1}, "step=1; expected"),
        ({"reference": "best"}, r"reference='best'; expected Best\(\) or Dense\(\)"),
        ({"stepping": "all"}, r"stepping='all'; expected Together\(\) or OneByOne\(\)"),
    ],
)
def test_settings_that_cannot_be_are_refused(bad, message):
    good = {"monitor": "val_auc", "maximize": True, "tolerance": 0.0, "step": 0.1}
    with pytest.raises(tfc.SpecError, match=message):
        tfc.DynamicPruning(**{**good, **bad})


def test_a_threshold_cannot_follow():
    with pytest.raises(tfc.SpecError, match=r"OfMean\(k=0.5\) with Followed\(\)"):
        tfc.Prune(tfc.OfMean(0.5), schedule=tfc.Followed())


def test_a_state_or_an_epoch_before_any_training_is_refused():
    with pytest.raises(tfc.SpecError, match="state.. before any training"):
        dynamic().state()
    with pytest.raises(tfc.SpecError, match="an epoch before on_train_begin"):
        dynamic().on_epoch_begin(0)


def judged(metrics, **settings):
    usual = {"step": 0.1, "tolerance": 0.05, "maximize": True}
    controller = Controller({"all": 0.9}, **{**usual, **settings})
    for epoch, metric in enumerate(metrics):
        controller.begin()
        controller.judge(epoch, metric)
    return [d.kept for d in controller.decisions]


def test_the_reference_is_the_best_or_the_dense_metric():
    metrics = [0.50, 0.60, 0.52]
    assert judged(metrics, reference=tfc.Best()) == [True, True, False]
    assert judged(metrics, reference=tfc.Dense()) == [True, True, True]


def test_a_loss_is_better_where_it_is_smaller_and_nan_never_holds():
    assert judged([0.50, 0.54, 0.60], maximize=False) == [True, True, False]
    assert judged([0.5, float("nan")]) == [True, False]
    with pytest.raises(tfc.SpecError, match="the metric nan of the dense model"):
        judged([float("nan")])


def test_the_spec_and_the_layer_survive_their_round_trip():
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.9, schedule=tfc.Followed()))])
    assert tfc.Spec.from_json(spec.to_json()) == spec
    model = FAMILY.build()
    outputs = FAMILY.outputs(model)
    np.testing.assert_array_equal(FAMILY.outputs(tfc.apply(model, spec)), outputs)


def test_every_kind_of_model_is_followed_by_a_real_metric_and_finalized(family):
    prune = tfc.Prune(0.8, schedule=tfc.Followed())
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), prune)])
    model = family.compiled(tfc.apply(family.build(), spec))
    callback = tfc.DynamicPruning("val_loss", maximize=False, tolerance=10.0, step=0.4)
    data = family.data()
    model.fit(data, validation_data=data, epochs=3, verbose=0, callbacks=[callback])
    assert callback.levels == {"all": 0.8}
    outputs = family.outputs(model)
    np.testing.assert_allclose(family.outputs(tfc.finalize(model)), outputs, rtol=1e-5, atol=1e-6)


def test_the_exported_file_agrees_and_has_the_zeros(tmp_path):
    model, callback = student(), dynamic(step=0.4)
    fit(model, Breaks(0.5), callback, epochs=4)
    call = tfc.Signature(lambda m, ids: m(ids), {"ids": tf.TensorSpec([1, 5], tf.int32)})
    made = tfc.export(model, tmp_path / "m", {"serve": call})
    lite, rows = tfc.LiteModel(made.model), small_models.ids(4)
    shipped = [lite.run("serve", {"ids": row[None]})["output"] for row in rows]
    np.testing.assert_allclose(np.concatenate(shipped), model(rows), rtol=1e-4, atol=1e-6)
    assert sparsities(tfc.finalize(model)) == pytest.approx([0.4, 0.4], abs=0.02)


# --- elsewhere ----------------------------------------------------------------------------------


class BreaksAbove(keras.callbacks.Callback):
    """A metric that falls where one mask of a model, or of the model in it, has too many zeros."""

    def __init__(self, model, most):
        super().__init__()
        self.held, self.most = model, most

    def on_epoch_end(self, epoch, logs=None):
        logs["val_made"] = float(max(sparsities(self.held)) <= self.most)


def decided(callback):
    return [(d.kept, d.tried, d.before) for d in callback.decisions]


def test_it_decides_in_a_distribution_strategy_as_alone(strategy):
    alone, first = student(), dynamic()
    fit(alone, BreaksAbove(alone, 0.25), first, epochs=5)
    with strategy.scope():
        together, second = student(), dynamic()
    fit(together, BreaksAbove(together, 0.25), second, epochs=5)
    assert decided(first) == decided(second)
    assert sparsities(together) == sparsities(alone)
    assert 0.15 < sparsities(together)[0] <= 0.25


def test_it_prunes_the_student_of_a_distiller():
    inner = student()
    distiller = tfc.distill(inner, FAMILY.build(), weight=0.5)
    distiller.compile(keras.optimizers.Adam(0.01), loss="mse")
    callback = dynamic()
    fit(distiller, BreaksAbove(inner, 0.25), callback, epochs=5)
    assert [d.kept for d in callback.decisions].count(False) == 1
    assert callback.levels == {"all": pytest.approx(0.2)}
    assert max(sparsities(distiller.student)) <= 0.25
