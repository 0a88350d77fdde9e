"""Quantize: every weight lies on the grid that it ships on."""

import numpy as np
import pytest
import small_models
import tf_keras as keras

import tfcompress as tfc


def distinct(values):
    return len(np.unique(np.abs(values / np.abs(values).max()).round(4)))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("scale", [tfc.AbsMax(), tfc.Deviations(2.0)], ids=repr)
def test_weights_are_multiples_of_their_scale_after_training_too(bits, scale):
    family = small_models.FAMILIES["sequential"]
    rule = tfc.rule(tfc.by_type("Dense"), tfc.Quantize(bits, scale=scale))
    student = tfc.apply(family.build(), tfc.Spec([rule]))
    family.compiled(student).fit(family.data(), verbose=0)
    kernel = np.array(student.get_layer("hidden").kernel)
    assert all(distinct(kernel[:, unit]) <= 2 ** (bits - 1) for unit in range(kernel.shape[1]))
    final = tfc.finalize(student).get_layer("hidden")
    assert type(final) is keras.layers.Dense
    np.testing.assert_array_equal(final.kernel, kernel)


def test_granularity_says_which_weights_share_a_scale():
    table = keras.layers.Embedding(64, 64, input_length=2, name="table")
    model = keras.Sequential([table])
    rows = np.random.default_rng(0).normal(size=(64, 64)) * np.arange(1, 65)[:, None]
    rows[:, 32:] *= 100
    table.embeddings.assign(rows)

    def error(granularity):
        rule = tfc.rule(tfc.by_name("table"), tfc.Quantize(4, granularity))
        student = tfc.apply(model, tfc.Spec([rule]))
        return float(np.abs((student.layers[0].embeddings.numpy() - rows)[0, :32]).mean())

    assert error(tfc.PerTensor()) >= error(tfc.PerChannel()) > 5 * error(tfc.PerBlock(32))


def test_training_moves_the_weights_beneath_the_grid():
    family = small_models.FAMILIES["tfrs"]
    rule = tfc.rule(tfc.by_type("Dense") | tfc.by_type("Embedding"), tfc.Quantize(4))
    student = family.compiled(tfc.apply(family.build(), tfc.Spec([rule])))
    before = [w.numpy() for w in student.trainable_weights]
    losses = student.fit(family.data(), epochs=4, verbose=0).history["total_loss"]
    assert losses[-1] < losses[0]
    assert all((a != b).any() for a, b in zip(before, student.get_weights(), strict=False))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.Quantize(5), r"bits=5; expected one of \(2, 3, 4, 8, 16, 32\)"),
        (lambda: tfc.Quantize(8, "rows"), r"granularity='rows'; expected PerTensor\(\)"),
        (lambda: tfc.Quantize(8, scale=3.0), r"scale=3.0; expected AbsMax\(\)"),
        (lambda: tfc.Quantize(2, tfc.PerBlock(32)), "bits=2 with PerBlock; LiteRT has no"),
        (lambda: tfc.PerBlock(48), r"size=48; expected one of \(32, 64"),
        (lambda: tfc.Deviations(0), "Deviations received 0; expected a multiple above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()
