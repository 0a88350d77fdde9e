"""Stored answers: what is written, how a kill is survived, how rows find their examples."""

from __future__ import annotations

import os
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
from tfcompress.distillation.layout import row_hashes

RNG = np.random.default_rng(0)
ROWS, CLASSES = 40, 7
X = RNG.normal(size=(ROWS, 6)).astype(np.float32)
Y = RNG.integers(0, CLASSES, ROWS)


def net(seed: int, classes: int = CLASSES, **last: Any) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.layers.Dense(8, activation="relu", input_shape=(6,), name="body"),
            keras.layers.Dense(classes, name="head", **last),
        ]
    )


def compiled(model: Any) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


def dataset(x: Any = X, y: Any = Y, batch: int = 8) -> Any:
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(batch)


def stored(folder: Path, **settings: Any) -> Any:
    return tfc.precompute(net(2), dataset(), folder / "answers", dtype="float32", **settings)


def test_every_row_is_the_teachers_answer(tmp_path):
    found = stored(tmp_path)
    np.testing.assert_allclose(found.logits, net(2)(X), atol=1e-6)
    assert isinstance(found.logits, np.memmap)
    assert (found.rows, found.items, found.layout.classes) == (ROWS, None, CLASSES)
    assert [p.name for p in tmp_path.iterdir()] == ["answers"]
    again = tfc.Precomputed(tmp_path / "answers")
    np.testing.assert_array_equal(again.logits, found.logits)


def test_the_largest_logits_are_stored_with_their_items(tmp_path):
    found = stored(tmp_path, top=3)
    logits = net(2)(X).numpy()
    order = np.argsort(-logits, axis=1)[:, :3]
    np.testing.assert_array_equal(found.items, order)
    np.testing.assert_allclose(found.logits, np.take_along_axis(logits, order, 1), atol=1e-6)


@pytest.mark.parametrize(("dtype", "size"), [("float16", 2), ("float32", 4)])
def test_files_are_as_large_as_their_rows(tmp_path, dtype, size):
    tfc.precompute(net(2), X, tmp_path / "a", dtype=dtype)
    assert (tmp_path / "a" / "logits.bin").stat().st_size == ROWS * CLASSES * size
    assert (tmp_path / "a" / "hashes.bin").stat().st_size == ROWS * 8


@pytest.mark.parametrize(
    "data",
    [X, (X, Y), dataset(), dataset(batch=5), tf.data.Dataset.from_tensor_slices(X).batch(9)],
    ids=["x", "x and y", "batches", "other batches", "batches of x"],
)
def test_data_may_be_arrays_or_batches(tmp_path, data):
    found = tfc.precompute(net(2), data, tmp_path / "a", batch_size=16)
    np.testing.assert_allclose(found.logits, net(2)(X), atol=1e-2)
    assert len(list(found.join((X, Y)))) == ROWS / 32 + 0.75


def test_a_teacher_may_be_any_function_and_features_a_structure(tmp_path):
    columns = {"a": X[:, :2], "b": np.array([f"user {i % 3}" for i in range(ROWS)])}

    def teacher(x: Any) -> Any:
        length = tf.cast(tf.strings.length(x["b"]), tf.float32)
        return tf.stack([x["a"], tf.tile(length[:, None], [1, 2])], axis=1)

    found = tfc.precompute(teacher, columns, tmp_path / "a", top=1)
    assert found.logits.shape == (ROWS, 2, 1)
    (batch, answers), *_ = found.join((columns, Y), batch_size=10)
    assert set(batch[0]) == {"a", "b"}
    assert answers.logits.shape == (10, 2, 1)


@pytest.mark.parametrize("loss", [tfc.SoftLabels(3.0), tfc.Logits(), tfc.ListWise(3)], ids=repr)
def test_stored_answers_teach_what_the_teacher_does(tmp_path, loss):
    answers = stored(tmp_path)
    from_disk = compiled(tfc.distill(net(1), answers, loss=loss))
    live = compiled(tfc.distill(net(1), net(2), loss=loss))
    one = from_disk.fit(answers.join(dataset()), epochs=2, verbose=0).history
    other = live.fit(dataset(), epochs=2, verbose=0).history
    for name in other:
        assert one[name] == pytest.approx(other[name], rel=1e-4)
    for a, b in zip(from_disk.student.get_weights(), live.student.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_largest_logits_teach_as_a_live_teachers_do(tmp_path):
    answers = stored(tmp_path, top=3)
    from_disk = compiled(tfc.distill(net(1), answers, loss=tfc.ListWise(3)))
    live = compiled(tfc.distill(net(1), net(2), loss=tfc.ListWise(3)))
    one = from_disk.fit(answers.join(dataset()), verbose=0).history
    other = live.fit(dataset(), verbose=0).history
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_shuffled_examples_keep_their_answers(tmp_path):
    answers = stored(tmp_path)
    joined = answers.join((X, Y), batch_size=16, shuffle=ROWS)
    orders = []
    for _ in range(2):
        seen = []
        for (x, y), kept in joined:
            index = kept.index.numpy()
            np.testing.assert_array_equal(x, X[index])
            np.testing.assert_array_equal(y, Y[index])
            np.testing.assert_array_equal(kept.logits, answers.logits[index])
            seen.extend(index)
        assert sorted(seen) == list(range(ROWS))
        orders.append(seen)
    assert orders[0] != orders[1] != list(range(ROWS))


def test_a_forward_of_ones_own_gets_what_is_stored(tmp_path):
    def forward(student: Any, taught: Any, batch: Any) -> tfc.Outputs:
        x, y = batch
        logits = student(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        return tfc.Outputs(loss, logits, taught)

    answers = stored(tmp_path)
    own = compiled(tfc.distill(net(1), answers, forward=forward))
    usual = compiled(tfc.distill(net(1), answers))
    one = own.fit(answers.join(dataset()), verbose=0).history["loss"]
    assert one == pytest.approx(usual.fit(answers.join(dataset()), verbose=0).history["loss"])


@pytest.mark.parametrize("with_answers", [True, False])
def test_evaluation_is_the_students_own(tmp_path, with_answers):
    answers = stored(tmp_path)
    distiller = compiled(tfc.distill(net(1), answers))
    data = answers.join(dataset()) if with_answers else dataset()
    found = distiller.evaluate(data, verbose=0, return_dict=True)
    plain = compiled(net(1)).evaluate(dataset(), verbose=0, return_dict=True)
    assert found == pytest.approx(plain)


def test_a_tfrs_student_learns_from_stored_answers(tmp_path):
    family = small_models.FAMILIES["tfrs"]
    teacher = family.compiled(family.build(), 0.05)
    teacher.fit(family.data(), epochs=5, verbose=0)
    answers = tfc.precompute(teacher, family.data(), tmp_path / "a", top=10)
    student = tfc.distill(family.build(), answers, loss=tfc.ListWise(5, sampled=20), weight=0.9)
    history = family.compiled(student).fit(answers.join(family.data()), epochs=8, verbose=0).history
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]


def test_replicas_share_stored_answers(tmp_path, strategy):
    answers = stored(tmp_path)
    alone = compiled(tfc.distill(net(1), answers))
    with strategy.scope():
        together = compiled(tfc.distill(net(1), answers))
    for model in (alone, together):
        model.fit(answers.join(dataset()), verbose=0)
    for a, b in zip(alone.student.get_weights(), together.student.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


class Killed(Exception):
    """What stands for a kill."""


def killed_after(calls: int, seed: int = 2) -> Any:
    model, left = net(seed), [calls]

    def teacher(x: Any) -> Any:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return model(x)

    return teacher


def begun(folder: Path, **settings: Any) -> Path:
    with pytest.raises(Killed):
        tfc.precompute(killed_after(3), dataset(), folder / "a", **settings)
    assert not (folder / "a").exists()
    return folder / ".a.partial"


@pytest.mark.parametrize("top", [None, 3])
@pytest.mark.parametrize("torn", [0, 1, 5])
def test_a_killed_run_goes_on_behind_its_last_whole_row(tmp_path, top, torn):
    partial = begun(tmp_path, top=top)
    if torn:  # in the midst of a row, and of another one in another file
        os.truncate(partial / "hashes.bin", 24 * 8 - torn)
        os.truncate(partial / "logits.bin", (partial / "logits.bin").stat().st_size - 13 * torn)
    asked = []

    def teacher(x: Any) -> Any:
        asked.append(len(x))
        return net(2)(x)

    found = tfc.precompute(teacher, dataset(), tmp_path / "a", top=top)
    whole = tfc.precompute(net(2), dataset(), tmp_path / "b", top=top)
    np.testing.assert_allclose(found.logits, whole.logits, atol=2e-3)
    np.testing.assert_array_equal(found.hashes, whole.hashes)
    assert sum(asked) < ROWS  # the first batch again, to compare, and what was missing
    assert not partial.exists()


def test_a_process_that_is_killed_for_good_leaves_what_can_be_resumed(tmp_path):
    code = f"""
import os, signal, numpy as np
import tfcompress as tfc
from tfcompress.keras import tf
x = np.arange(60, dtype=np.float32).reshape(20, 3)
calls = []
def teacher(x):
    calls.append(1)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * 2
tfc.precompute(teacher, x, {str(tmp_path / "a")!r}, dtype="float32", batch_size=5)
"""
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True)
    assert done.returncode == -9
    x = np.arange(60, dtype=np.float32).reshape(20, 3)
    seen: list[Any] = []

    def teacher(batch: Any) -> Any:
        seen.append(len(batch))
        return batch * 2

    found = tfc.precompute(teacher, x, tmp_path / "a", dtype="float32", batch_size=5)
    np.testing.assert_array_equal(found.logits, x * 2)
    assert seen == [5, 5]


def resumed(**settings: Any) -> Any:
    def run(folder: Path) -> None:
        begun(folder)
        call: dict[str, Any] = {"teacher": net(2), "data": dataset(), **settings}
        tfc.precompute(path=folder / "a", **call)

    return run


def joined(*args: Any, **kwargs: Any) -> Any:
    return lambda folder: stored(folder).join(*args, **kwargs)


def incomplete(folder: Path) -> None:
    path = stored(folder).path
    os.truncate(path / "hashes.bin", 8 * 10)
    tfc.Precomputed(path)


def of_another_version(folder: Path) -> None:
    path = stored(folder).path
    (path / "answers.json").write_text('{"version": 2}')
    tfc.Precomputed(path)


def plain_fit(folder: Path) -> None:
    compiled(tfc.distill(net(1), stored(folder))).fit(dataset(), verbose=0)


def answered(value: Any, **settings: Any) -> Any:
    return lambda folder: tfc.precompute(lambda x: value, X[:4], folder / "a", **settings)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda f: (stored(f), stored(f)), "is there already.*tfcompress.Precomputed"),
        (lambda f: stored(f, top=0), "precompute received top=0; expected a whole number"),
        (lambda f: stored(f, top=8), "top=8, and the teacher has 7 classes; expected top <= 7"),
        (lambda f: tfc.precompute(net(2), X, f / "a", dtype="int8"), "dtype='int8'; expected one"),
        (lambda f: tfc.precompute([net(2)], X, f / "a"), "expected one model, or a function"),
        (
            lambda f: tfc.precompute(net(2, activation="softmax"), X, f / "a"),
            "gives probabilities .softmax.; expected logits",
        ),
        (lambda f: tfc.precompute(net(2), dataset().repeat(), f / "a"), "never ends"),
        (lambda f: tfc.precompute(net(2), dataset().take(0), f / "a"), "0 examples; expected at"),
        (answered(np.full((4, 3), 7e4, np.float32)), "70000.0, which are not finite in float16"),
        (answered(np.full((4, 3), np.nan, np.float32), dtype="float32"), "not finite in float32"),
        (answered(np.zeros(4, np.float32)), r"output float32 \(4,\) for 4 examples; expected logi"),
        (answered(np.zeros((3, 2), np.float32)), r"\(3, 2\) for 4 examples"),
        (answered(np.zeros((4, 2), np.int32)), r"output int32 \(4, 2\)"),
        (resumed(top=2), "begun with top=None and dtype='float16', and precompute received top=2"),
        (resumed(data=dataset(X[::-1])), "example 0 are not those .* call that was killed"),
        (resumed(data=dataset(X[:16], Y[:16])), "16 examples; expected at least 24 .24 are in"),
        (resumed(teacher=net(3)), "answers the first examples otherwise.*Delete the folder"),
        (lambda f: tfc.Precomputed(f), "holds no answers of a teacher; expected a folder that"),
        (incomplete, "holds 10 rows; expected 40"),
        (of_another_version, "answers of version 2; expected 1"),
        (joined(dataset(X[:-1], Y[:-1])), "join received 39 examples; expected 40"),
        (joined((np.vstack([X, X]), np.hstack([Y, Y]))), "join received 80 examples; expected 40"),
        (joined(dataset(X[::-1])), "example 0 are not those that .* Do not shuffle before join"),
        (joined(dataset(X.astype(np.float64))), "example 0 .*of the same types"),
        (joined(dataset().repeat()), "never ends; expected each example once"),
        (joined(dataset(), shuffle=10), "shuffle=10 and no batch_size; expected both"),
        (plain_fit, "received plain data; expected batches .*teacher.join"),
        (
            lambda f: tfc.distill(net(1), stored(f), loss=tfc.Hidden("body")),
            "Hidden received precomputed answers; expected a model",
        ),
        (
            lambda f: tfc.distill(net(1, classes=9), stored(f)),
            "logits of 9 classes from the student and of 7",
        ),
        (lambda f: tfc.distill(net(1), [net(2), stored(f)]), "Teachers received .*models alone"),
        (lambda f: row_hashes(tf.ragged.constant([[1], [2, 3]])), "Ragged.*dense tensors"),
        (lambda f: row_hashes({}), r"Received the features \{\}; expected tensors"),
        (lambda f: row_hashes(tf.constant(1)), "without an axis of examples"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, act, message):
    with pytest.raises(tfc.SpecError, match=message):
        act(tmp_path)


def test_another_order_in_a_later_pass_is_found_while_training(tmp_path):
    passes = []

    def examples() -> Any:
        passes.append(1)
        order = range(ROWS) if len(passes) == 1 else range(ROWS)[::-1]
        yield from ((X[i], Y[i]) for i in order)

    kinds = (tf.TensorSpec((6,)), tf.TensorSpec((), tf.int64))
    data = tf.data.Dataset.from_generator(examples, output_signature=kinds).batch(8)
    answers = stored(tmp_path)
    distiller = compiled(tfc.distill(net(1), answers))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="another order than that of the first"
    ):
        distiller.fit(answers.join(data), verbose=0)
