"""Prune: zeros stay zero through everything that happens to a model."""

import numpy as np
import pytest
import small_models
import tf_keras as keras

import tfcompress as tfc
from tfcompress.surgery import walk


def zeros(model):
    dense = [held.layer for held in walk(model) if "Dense" in held.info.types]
    return [np.array(layer.kernel) == 0 for layer in dense]


@pytest.mark.parametrize("block", [(1, 1), (4, 1)])
def test_zeros_stay_zero_through_fit_save_load_fit_and_finalize(family, block, tmp_path):
    spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.75, block))])
    student = tfc.apply(family.build(), spec)
    first = zeros(student)
    assert all(0.7 <= pattern.mean() <= 0.8 for pattern in first)
    optimizer = keras.optimizers.AdamW(0.05, weight_decay=0.1)  # moves every weight it sees
    student.compile(optimizer, loss=family.loss)
    student.fit(family.data(), epochs=1, verbose=0)
    assert all(map(np.array_equal, zeros(student), first))
    student.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert all(map(np.array_equal, zeros(loaded), first))
    loaded.fit(family.data(), epochs=1, verbose=0)
    assert all(map(np.array_equal, zeros(loaded), first))
    assert all(map(np.array_equal, zeros(tfc.finalize(loaded)), first))


def test_the_smallest_weights_go():
    model = small_models.sequential()
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("hidden"), tfc.Prune(0.25))]))
    before = np.abs(model.get_layer("hidden").kernel.numpy())
    gone = np.array(student.get_layer("hidden").kernel) == 0
    assert gone.sum() == before.size // 4
    assert before[gone].max() < before[~gone].min()
    np.testing.assert_array_equal(
        np.array(student.get_layer("hidden").kernel)[~gone],
        model.get_layer("hidden").kernel.numpy()[~gone],
    )


def test_blocks_go_together():
    model = small_models.sequential()
    student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Prune(0.5, (4, 1)))]))
    blocks = (np.array(student.get_layer("head").kernel) == 0).reshape(4, 4, 4).mean(axis=1)
    assert set(np.unique(blocks)) == {0.0, 1.0}
    assert blocks.mean() == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.Prune(1.0), "sparsity=1.0; expected 0 <= sparsity < 1"),
        (lambda: tfc.Prune(-0.1), "sparsity=-0.1"),
        (lambda: tfc.Prune(float("nan")), "sparsity=nan"),
        (lambda: tfc.Prune(0.5, (0, 1)), r"block=\(0, 1\); expected two whole numbers"),
        (lambda: tfc.Prune(0.5, (1, 1, 1)), r"block=\(1, 1, 1\)"),
        (lambda: tfc.Prune(0.5, schedule=100), r"schedule=100; expected Once\(\)"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
