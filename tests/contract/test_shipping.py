"""Law 7: what training saw is what ships, and its size is what the report says."""

import numpy as np
import pytest

import tfcompress as tfc
from tests import small_models
from tfcompress.export import flatbuffer, sizes
from tfcompress.export.find import stored_weights
from tfcompress.keras import keras, tf

FAMILIES = {
    "sequential": small_models.sequential,
    "functional": small_models.functional,
    "subclassed": small_models.subclassed,
    "tfrs": small_models.tied,
}
SETTINGS = {
    "nothing": (),
    "factorize": (tfc.Factorize(3),),
    "factorize, within bytes": (tfc.Factorize(tfc.BudgetShare(0.6)),),
    "shrink": (tfc.Shrink(0.5),),
    "shrink, 4 bits": (tfc.Shrink(0.6, multiple=4), tfc.Quantize(4)),
    "prune": (tfc.Prune(0.5),),
    "prune on schedule": (tfc.Prune(0.5, (2, 1), tfc.PolynomialDecay(4, frequency=1)),),
    "prune, 2 of 4": (tfc.Prune(0.5, tfc.NofM(2, 4)),),
    "prune below one limit": (tfc.Prune(tfc.OfMean(0.7), scope=tfc.Global()), tfc.Quantize(8)),
    "sparsify": (tfc.Sparsify(tfc.ByProbability(0.5, rescale=True)),),
    "sparsify, 4 bits": (tfc.Sparsify(tfc.OfMean(0.7)), tfc.Quantize(4)),
    "8 bits": (tfc.Quantize(8),),
    "4 bits": (tfc.Quantize(4, tfc.PerTensor(), tfc.Deviations(2.0)),),
    "2 bits": (tfc.Quantize(2),),
    "3 bits, learned": (tfc.Quantize(3, scale=tfc.Learned()),),
    "4 bits, mean square": (tfc.Prune(0.5), tfc.Quantize(4, tfc.PerTensor(), tfc.MeanSquare())),
    "8 bits, fixed": (tfc.Quantize(8, scale=tfc.Fixed(1 / 64)),),
    "float16": (tfc.Quantize(16),),
    "integers": (tfc.Quantize(8), tfc.QuantizeActivations()),
    "adaptive bits": (tfc.AdaptiveBits(tfc.BudgetShare(0.15), granularity=tfc.PerTensor()),),
    "adaptive bits, up to 16": (tfc.AdaptiveBits(tfc.BudgetShare(0.45), (2, 4, 8, 16)),),
    "code": (tfc.Code(4, 8),),
    "tier": (tfc.Tier(wide=2),),
    "code at 4 bits": (tfc.Code(3, 8), tfc.Quantize(4, tfc.PerTensor())),
    "share": (tfc.Share(tfc.QuotientRemainder(8), keep=4),),
    "share at 8 bits": (tfc.Share(tfc.DoubleHash(7), 3, (9, 4, 30)), tfc.Quantize(8)),
    "all": (tfc.Factorize(4), tfc.Prune(0.5), tfc.Quantize(4)),
}


def trained(family, techniques):
    model = FAMILIES[family]()
    if family == "tfrs" and any(isinstance(t, (tfc.Code, tfc.Share, tfc.Tier)) for t in techniques):
        model = small_models.tied(factor_by_factor=True)  # a file holds no such table whole
    if techniques:
        rules = [tfc.rule(tfc.by_type(kind), *techniques) for kind in ("Dense", "Embedding")]
        model = tfc.apply(model, tfc.Spec(rules))
    if family == "tfrs":
        model.compile(keras.optimizers.Adam(0.01))
        history = small_models.ids()
        model.fit(history, history[:, 0], batch_size=8, epochs=2, verbose=0)
    else:
        model.compile(keras.optimizers.Adam(0.01), "mse")
        model.fit(small_models.ids(), small_models.targets(), batch_size=8, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_law_7_what_training_saw_is_what_ships(family, setting, tmp_path):
    model = trained(family, SETTINGS[setting])
    history = small_models.ids(8, seed=9)
    call = tfc.Signature(lambda m, ids: m(ids), {"ids": tf.TensorSpec([1, 5], tf.int32)})
    calls = [{"ids": row[None]} for row in history]
    made = tfc.export(model, tmp_path / "m", {"serve": call}, {"serve": calls}, tolerance=0.05)

    lite = tfc.LiteModel(made.model)
    shipped = np.concatenate([lite.run("serve", one)["output"] for one in calls])
    seen = np.concatenate([model(one["ids"]).numpy() for one in calls])
    deviation = np.linalg.norm(shipped - seen) / np.linalg.norm(seen)
    assert deviation < (0.03 if stored_weights(model) else 1e-5)

    content = made.model.read_bytes()
    assert made.report["sizes"] == sizes.byte_counts(content)
    found = made.report["sizes"]
    assert found["bytes"] == len(content)
    assert found["bytes"] == sum(found[n] for n in ("weights", "scales", "graph", "metadata"))
    assert found["graph"] == sum(made.report["graph_bytes"].values())


@pytest.mark.parametrize("family", FAMILIES)
def test_law_7_every_quantized_weight_is_in_the_file_to_the_last_bit(family, tmp_path):
    model = trained(family, (tfc.Quantize(4),))
    call = tfc.Signature(lambda m, ids: m(ids), {"ids": tf.TensorSpec([1, 5], tf.int32)})
    made = tfc.export(model, tmp_path / "m", {"serve": call})
    shipped = list(_int4_matrices(flatbuffer.read(made.model.read_bytes())))
    for weight in stored_weights(model):
        assert any(
            value.shape == candidate.shape and np.allclose(value, candidate, rtol=1e-5, atol=1e-8)
            for value in shipped
            for candidate in (weight.value, weight.value.T)
        ), weight.path


def _int4_matrices(model):
    for tensor in model.subgraphs[0].tensors:
        if tensor.type != flatbuffer.schema.TensorType.INT4:
            continue
        packed = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
        levels = np.stack([packed & 15, packed >> 4], 1).reshape(-1).astype(np.int64)
        levels = np.where(levels > 7, levels - 16, levels)[: np.prod(tensor.shape)]
        axis = tensor.quantization.quantizedDimension
        shape = [1, 1]
        shape[axis] = -1
        yield levels.reshape(tensor.shape) * np.reshape(tensor.quantization.scale, shape)
