"""The system `driving`: what is drawn, what a folder holds, and the ways to compress."""

import numpy as np
import pytest
import tensorflow as tf

import tfcompress as tfc
from experiments.data import road_scenes, road_weather, sign_sources, signs
from experiments.data.road_scenes import FINE, SIZE, Scene
from experiments.data.sign_shapes import SIGNS, texture
from experiments.data.sign_sources import DataError
from experiments.systems import driving as system

RANDOM = np.random.default_rng(0)
HEAD = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"


def test_signs_differ_and_end_within_their_texture():
    drawn = np.stack([texture(sign, 96) for sign in SIGNS])
    seen = drawn[..., :3] * drawn[..., 3:]
    for one in range(len(SIGNS)):
        others = np.delete(np.arange(len(SIGNS)), one)
        assert np.abs(seen[others] - seen[one]).mean(axis=(1, 2, 3)).min() > 0.005
    cover = drawn[..., 3]
    assert cover[:, 48, 48].min() == 1
    assert not cover[:, [0, -1]].any() and not cover[:, :, [0, -1]].any()


def test_colours_are_where_they_belong():
    by_name = {sign.name: texture(sign, 64) for sign in SIGNS}
    red, green, blue, cover = by_name["limit 50"][32, 6]
    assert cover == 1 and red > 3 * max(green, blue)
    assert by_name["priority"][32, 32, 2] < 0.2 < by_name["priority"][32, 32, 0]
    left, right = by_name["left"], by_name["right"]
    np.testing.assert_allclose(left, right[:, ::-1], atol=1e-5)


def test_a_sign_from_its_front_is_its_texture():
    labels = np.array([3, 9])
    found = road_scenes.projected(labels, np.tile(np.eye(3), (2, 1, 1)))
    size = FINE * SIZE
    expected = np.stack([texture(SIGNS[label], size) for label in labels])
    assert np.abs(found - expected).mean() < 0.01


def test_every_camera_sees_the_whole_middle_of_a_sign():
    to_sign = road_scenes.homographies(200, np.random.default_rng(1))
    of_image = np.linalg.inv(to_sign)
    centre = of_image @ np.array([0.0, 0.0, 1.0])
    centre = centre[:, :2] / centre[:, 2:]
    assert np.abs(centre).max() <= 0.15 + 1e-9
    sides = of_image @ np.array([[0.9, 0.0, 1.0], [-0.9, 0.0, 1.0]]).T
    wide = np.diff(sides[:, 0] / sides[:, 2], axis=1)
    assert np.abs(wide).min() > 0.6 and np.abs(wide).max() < 2.2
    assert np.ptp(np.abs(wide)) > 0.5


def test_a_scene_is_decided_by_its_number():
    images, labels = Scene(1, 5).seen(2 * len(SIGNS))
    again, _ = Scene(1, 5).seen(2 * len(SIGNS))
    other, _ = Scene(1, 6).seen(2 * len(SIGNS))
    assert images.shape == (2 * len(SIGNS), SIZE, SIZE, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, again)
    assert (images != other).mean() > 0.5
    assert np.bincount(labels).tolist() == [2] * len(SIGNS)
    assert images.std(axis=(1, 2, 3)).min() > 2  # in every weather there is something to see


def contrast(weather):
    image = np.zeros((4, SIZE, SIZE, 3), np.float32)
    image[:, :, SIZE // 2 :] = 0.8
    found = road_weather.weathered(image, weather, np.random.default_rng(2))
    right, left = np.median(found[:, :, SIZE // 2 :]), np.median(found[:, :, : SIZE // 2])
    return float(left), float(right - left), float((found != image).mean())


def test_what_weather_does():
    assert contrast("clear") == (0, pytest.approx(0.8), 0)
    veil, left_over, _ = contrast("fog")
    assert veil > 0.2 and left_over < 0.6
    assert contrast("night")[1] < 0.5
    for weather in ("rain", "snow"):
        assert contrast(weather)[2] > 0.01


def test_streaks_have_their_length_and_width():
    flakes = road_weather.streaks(3, 64, 0.0, 1.0, np.random.default_rng(3))
    rain = road_weather.streaks(3, 64, 0.8, 1.0, np.random.default_rng(3))
    assert flakes.max() == 1 and 0 < flakes.mean() < 0.1
    assert rain.mean() > 3 * flakes.mean()


def test_signs_are_drawn_once(monkeypatch, tmp_path):
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path))
    monkeypatch.setattr(signs, "SCENES", {"train": 3, "validation": 1, "test": 2})
    data = signs.load()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [96, 32, 64]
    assert data.described()["synthetic"] is True and data.n_classes == len(SIGNS)
    parts = [data.train.values, data.validation.values, data.test.values]
    every = np.concatenate(parts).reshape(192, -1)
    assert len(np.unique(every, axis=0)) == 192
    monkeypatch.setattr(signs, "_made", lambda: pytest.fail("drawn twice"))
    np.testing.assert_array_equal(signs.load().test.values, data.test.values)
    monkeypatch.setattr(signs, "SCENES", {"train": 4, "validation": 1, "test": 2})
    with pytest.raises(DataError, match=r"for train, expected \(\(128, 32, 32, 3\)"):
        signs.load()


def ppm(path, pixels, comment=b""):
    height, width = pixels.shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P6\n" + comment + f"{width} {height}\n255\n".encode() + pixels.tobytes())


def gtsrb(folder):
    """Two classes of ten tracks of three images; a sign has its track's colour."""
    for label in range(2):
        rows = []
        for track in range(10):
            for number in range(3):
                pixels = np.zeros((20, 24, 3), np.uint8)
                pixels[4:15, 5:19] = 100 * label + 10 * track
                name = f"{track:05d}_{number:05d}.ppm"
                ppm(folder / f"Final_Training/Images/{label:05d}" / name, pixels, b"# made\n")
                rows.append(f"{name};24;20;5;4;18;14;{label}\n")
        path = folder / f"Final_Training/Images/{label:05d}/GT-{label:05d}.csv"
        path.write_text(HEAD + "".join(rows))
    ppm(folder / "Final_Test/Images/00000.ppm", np.full((9, 9, 3), 77, np.uint8))
    path = folder / "Final_Test/Images/GT-final_test.csv"
    path.write_text(HEAD + "00000.ppm;9;9;1;1;7;7;1\n")
    return folder


def test_tracks_of_gtsrb_are_in_one_split(tmp_path):
    data = signs.load(gtsrb(tmp_path))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [54, 6, 1]
    assert (data.shape, data.n_classes) == ((32, 32, 3), 2)
    assert data.described()["synthetic"] is False
    assert np.ptp(data.train.values.reshape(54, -1), axis=1).max() == 0  # nothing around the sign
    colours = [set(split.values[:, 0, 0, 0].tolist()) for split in (data.train, data.validation)]
    assert len(colours[1]) == 2 and not colours[0] & colours[1]
    assert (data.test.values == 77).all() and data.test.labels.tolist() == [1]
    np.testing.assert_array_equal(data.train.values[:, 0, 0, 0] // 100, data.train.labels)


def test_gtsrb_that_is_not_whole(tmp_path):
    with pytest.raises(DataError, match=r"has no list in Final_Training/Images; expected GTSRB's"):
        signs.load(tmp_path)
    gtsrb(tmp_path)
    (tmp_path / "Final_Test/Images/GT-final_test.csv").write_text("Filename;Width\nx;1\n")
    with pytest.raises(DataError, match=r"has the columns \['Filename', 'Width'\], expected rows"):
        signs.load(tmp_path)
    (tmp_path / "Final_Test/Images/GT-final_test.csv").unlink()
    with pytest.raises(DataError, match=r"GT-final_test.csv is missing"):
        signs.load(tmp_path)


def test_a_sign_outside_of_its_image(tmp_path):
    gtsrb(tmp_path)
    ppm(tmp_path / "Final_Test/Images/00000.ppm", np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(DataError, match=r"has 1 x 1 pixels, and its list a sign from \(1, 1\)"):
        signs.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P5\n2 2\n255\n" + bytes(4), "expected a .ppm"),
        (b"P6\n2 2\n255\n" + bytes(11), "has 11 bytes"),
    ],
)
def test_a_broken_image(content, message, tmp_path):
    path = tmp_path / "one.ppm"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        sign_sources.read_ppm(path)


def test_an_image_is_resized_about_its_middle():
    ramp = np.tile(np.linspace(0, 240, 64)[None, :, None], (64, 1, 3)).astype(np.uint8)
    smaller = sign_sources.resized(ramp, 16)
    np.testing.assert_allclose(smaller[8, 2:-2, 0], np.linspace(0, 240, 16)[2:-2], atol=6)
    same = RANDOM.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    np.testing.assert_array_equal(sign_sources.resized(same, 32), same)


def test_a_batch_stays_within_its_range():
    pictures = tf.constant(RANDOM.uniform(0, 1, (16, 32, 32, 3)).astype("f"))
    first, again = (system.distorted(pictures, tf.constant([1, 2])).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.min() >= 0 and first.max() <= 1
    bright = first.mean(axis=(1, 2, 3)) / pictures.numpy().mean(axis=(1, 2, 3))
    assert bright.min() < 0.9 and bright.max() > 1.1
    flat = system.distorted(tf.ones([4, 32, 32, 3]), tf.constant([1, 2])).numpy()
    assert np.ptp(flat.reshape(4, -1), axis=1).max() < 1e-5  # nothing black comes in


@pytest.fixture(scope="module")
def teacher():
    """Not trained; its kernels are about as large as each other, as trained ones are."""
    network = system.network((32, 32, 3), len(SIGNS))
    for weight in network.trainable_weights:
        if weight.shape.rank == 4:
            weight.assign(RANDOM.normal(0, 0.05, weight.shape))
    return network


def test_the_published_techniques_are_each_done(teacher):
    planned = {layer.path: str(layer.steps) for layer in tfc.plan(teacher, system.SPARSE).layers}
    assert all("Sparsify" in planned[name] for name in ("conv1", "head"))
    inner = [planned[f"conv{number}"] for number in range(2, len(system.BLOCKS) + 1)]
    assert all("Prune" in steps and "PolynomialDecay" in steps for steps in inner)


def test_dynamic_pruning_ends_at_its_share_of_all_kernels_together(teacher):
    brief = tfc.PolynomialDecay(begin_step=0, end_step=4, frequency=1)
    prune = tfc.Prune(sparsity=0.9, scope=tfc.Global(), schedule=brief)
    student = tfc.apply(teacher, tfc.Spec([tfc.rule(system.INNER, prune)]))
    student.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    pictures = RANDOM.uniform(0, 1, (8, 32, 32, 3)).astype("f")
    shares = []
    for _ in range(2):
        student.fit(pictures, np.arange(8), batch_size=4, verbose=0)
        kernels = [np.asarray(student.get_layer(f"conv{n}").kernel) for n in range(2, 6)]
        shares.append(np.mean(np.concatenate([kernel.ravel() for kernel in kernels]) == 0))
    student.fit(pictures, np.arange(8), batch_size=4, verbose=0)
    assert 0 < shares[0] < shares[1] == pytest.approx(0.9, abs=0.02)


def test_our_own_spec_leaves_nothing_in_float(teacher):
    planned = tfc.plan(teacher, system.NARROW_IN_INTEGERS)
    kernels = [layer for layer in planned.layers if layer.before.kind in ("Conv2D", "Dense")]
    assert len(kernels) == 6 and not any(layer.skipped for layer in kernels)
    assert all("QuantizeActivations" in str(layer.steps) for layer in kernels)
