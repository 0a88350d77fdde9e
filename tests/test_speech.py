"""The system `speech`: what words are made of, what a folder holds, and features in the network."""

import io
import shutil
import subprocess
import wave

import numpy as np
import pytest
import tensorflow as tf

import tfcompress as tfc
from experiments.data import speech
from experiments.data import speech_sources as sources
from experiments.data.labelled import Labelled, Splits
from experiments.data.speech_sources import RATE, DataError
from experiments.systems import speech as system
from experiments.systems.classifying import Classified
from experiments.systems.learning import taught_on
from experiments.systems.log_mel import FLOOR, HOP, N_BANDS, mel

RANDOM = np.random.default_rng(0)


def tone(hertz, seconds=0.5, rate=RATE):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype("f")


def write_wav(path, samples, rate=RATE, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())


def test_a_split_shares_no_voice_and_no_family_with_another():
    splits = speech.VOICES.values()
    families = [{voice.rstrip("0123456789").lower() for voice in split} for split in splits]
    assert not set.intersection(*families[:2]) | set.intersection(*families[1:])
    assert not families[0] & families[2]
    every = [one for split in speech.VOICES for one in speech.utterances(split)]
    assert len({one.number for one in every}) == len(every)
    assert sum(1 for _ in speech.utterances("test")) > 3000
    words = [one.word for one in speech.utterances("train")]
    assert len(set(np.bincount(words))) == 1


def test_a_word_is_placed_whole_with_its_noise():
    said = tone(400)
    sounds = [speech.placed(said, np.random.default_rng(seed)) for seed in range(20)]
    again = speech.placed(said, np.random.default_rng(3))
    np.testing.assert_array_equal(sounds[3], again)
    for sound in sounds:
        assert sound.shape == (RATE,)
        loud = np.abs(np.fft.rfft(sound))
        assert loud.argmax() == 400 or loud[400] > 0.5 * loud.max()  # brown noise has low tones
    begins = [np.correlate(sound, said, "valid").argmax() for sound in sounds]
    assert np.ptp(begins) > RATE / 4 and max(begins) <= RATE - len(said)


def test_a_word_of_more_than_a_second_is_cut():
    assert speech.placed(tone(400, seconds=1.5), np.random.default_rng(0)).shape == (RATE,)


@pytest.mark.parametrize("slope", [0.0, 2.0])
def test_noise_has_its_slope(slope):
    noise = [speech.coloured(slope, np.random.default_rng(seed)) for seed in range(10)]
    assert np.mean(np.square(noise)) == pytest.approx(1.0)
    power = np.mean(np.abs(np.fft.rfft(noise)) ** 2, axis=0)
    low, high = power[100:200].mean(), power[1600:3200].mean()
    assert np.log2(low / high) == pytest.approx(4 * slope, abs=0.3)  # four octaves apart


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050])
def test_a_sound_keeps_its_pitch_and_length(rate):
    found = sources.resampled(tone(440, 1.0, rate), rate)
    assert abs(len(found) - RATE) <= 1
    assert np.abs(np.fft.rfft(found, RATE)).argmax() == 440


def folder_of_words(path, test=("no/b.wav",)):
    for number, word in enumerate(("no", "yes")):
        for name in "abcd":
            write_wav(path / word / f"{name}.wav", tone(400 + 400 * number, 0.9, 16000), 16000)
    write_wav(path / "_background_noise_" / "hum.wav", tone(50))
    (path / "validation_list.txt").write_text("no/a.wav\nyes/a.wav\n")
    (path / "testing_list.txt").write_text("\n".join(test) + "\n")
    return path


def test_speech_commands_keep_their_lists(tmp_path):
    data = speech.load(folder_of_words(tmp_path))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [5, 2, 1]
    assert data.train.labels.tolist() == [0, 0, 1, 1, 1] and data.test.labels.tolist() == [0]
    assert (data.shape, data.n_classes) == ((RATE,), 2)
    described = data.described()
    assert described["words"] == ["no", "yes"] and described["synthetic"] is False
    pitches = np.abs(np.fft.rfft(data.train.values)).argmax(axis=1)
    assert pitches.tolist() == [400, 400, 800, 800, 800]
    assert np.abs(data.train.values).max() == pytest.approx(0.5 * 32767, rel=0.02)
    assert not data.train.values[:, -int(0.05 * RATE) :].any()


def test_a_listed_sound_that_is_missing(tmp_path):
    folder_of_words(tmp_path, test=("no/b.wav", "no/z.wav"))
    with pytest.raises(DataError, match=r"lacks no/z.wav, one of 1 files that testing_list.txt"):
        speech.load(tmp_path)


def test_a_folder_without_lists(tmp_path):
    with pytest.raises(DataError, match=r"validation_list.txt is missing, expected the layout"):
        speech.load(tmp_path)


def test_a_split_without_sounds(tmp_path):
    folder_of_words(tmp_path, test=())
    with pytest.raises(DataError, match="no sound for test"):
        speech.load(tmp_path)


@pytest.mark.parametrize(
    ("channels", "message"), [(2, "has 2 channels of 16 bits"), (0, "expected a WAV file")]
)
def test_a_sound_of_another_kind(channels, message, tmp_path):
    folder_of_words(tmp_path)
    path = tmp_path / "yes" / "d.wav"
    if channels:
        write_wav(path, tone(400), channels=channels)
    else:
        path.write_bytes(b"RIFF")
    with pytest.raises(DataError, match=message):
        speech.load(tmp_path)


class Program:
    """Stands for espeak-ng: every voice says a tone, by which the word is known."""

    def __init__(self, voices):
        self.voices, self.calls = voices, []

    def __call__(self, command, **kwargs):
        self.calls.append(command)
        if "--version" in command:
            out = b"eSpeak NG text-to-speech: 9.9  Data at: /nowhere"
        elif "--voices=variant" in command:
            out = "".join(f" 5 variant --/M {voice} !v/{voice}\n" for voice in self.voices).encode()
        else:
            out = self.wav(speech.WORDS.index(command[-1]))
        return subprocess.CompletedProcess(command, 0, out, b"")

    def wav(self, number):
        file = io.BytesIO()
        with wave.open(file, "wb") as opened:
            opened.setparams((1, 2, 22050, 0, "NONE", ""))
            opened.writeframes(np.rint(tone(500 + 100 * number, 0.4, 22050) * 20000).astype("<i2"))
        return file.getvalue()


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Three voices of which each says every word once; the cache is empty."""
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(speech, "VOICES", {"train": ["a"], "validation": ["b"], "test": ["c"]})
    monkeypatch.setattr(speech, "TAKES", {"train": 2, "validation": 1, "test": 1})
    monkeypatch.setattr(speech, "CLEAREST_DB", 40.0)
    monkeypatch.setattr(speech, "NOISIEST_DB", 40.0)
    program = Program("abc")
    monkeypatch.setattr(subprocess, "run", program)
    return program


def test_words_are_spoken_once(program):
    data = speech.load()
    said = [command for command in program.calls if "--stdout" in command]
    assert len(said) == 48 and len({(c[-1], c[3].split("+")[1]) for c in said}) == 36
    pitches = np.abs(np.fft.rfft(data.train.values)).argmax(axis=1)
    np.testing.assert_allclose(pitches, 500 + 100 * data.train.labels, atol=3)
    described = data.described()
    assert described["synthetic"] is True and described["espeak_ng"] == "9.9"
    n_calls = len(program.calls)
    again = speech.load()
    assert len(program.calls) == n_calls
    np.testing.assert_array_equal(again.test.values, data.test.values)


def test_a_cache_of_other_words_is_refused(program, monkeypatch):
    speech.load()
    monkeypatch.setattr(speech, "TAKES", {"train": 3, "validation": 1, "test": 1})
    with pytest.raises(DataError, match=r"\(\(24, 8000\), .* for train, expected \(\(36, 8000\)"):
        speech.load()


def test_a_missing_voice_is_not_replaced_in_silence(program):
    program.voices = "ab"
    with pytest.raises(DataError, match="lacks the voices c"):
        speech.load()


def test_without_espeak(monkeypatch, tmp_path):
    monkeypatch.setenv("TFCOMPRESS_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "_PROGRAM", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"Install it \(Debian package espeak-ng\)"):
        speech.load()


def test_espeak_that_fails(monkeypatch):
    done = subprocess.CompletedProcess([], 3, b"", b"no voice")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(DataError, match="ended with status 3: no voice"):
        sources.say("yes", "en", 160, 50)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_says_words():
    yes, no, other = (
        sources.say(word, voice, 160, 50)
        for word, voice in (("yes", "en-us+f2"), ("no", "en-us+f2"), ("yes", "en-us+m3"))
    )
    np.testing.assert_array_equal(yes, sources.say("yes", "en-us+f2", 160, 50))
    for sound in (yes, no, other):
        assert 0.2 * RATE < len(sound) < RATE and 0.05 < np.abs(sound).max() < 1
    power = [np.square(np.abs(np.fft.rfft(sound, RATE))) for sound in (yes, no)]
    hiss = [one[2500:].sum() / one.sum() for one in power]
    assert hiss[0] > 2 * hiss[1]  # an s
    assert {"f2", "m3", "klatt"} <= sources.voices() and sources.version()[0].isdigit()


@pytest.fixture(scope="module")
def teacher():
    return system.network((RATE,), 4)


def test_features_are_those_of_a_whole_transform(teacher):
    wave_ = RANDOM.normal(0, 0.1, RATE).astype("f")
    model = type(teacher)(teacher.input, teacher.get_layer("log").output)
    window = np.hanning(2 * HOP + 1)[:-1]
    windows = [wave_[begin : begin + 2 * HOP] * window for begin in range(0, RATE - HOP, HOP)]
    power = np.abs(np.fft.rfft(windows)[:, 2:-1:2] / HOP * 2) ** 2
    expected = np.log(power @ mel(HOP, RATE, N_BANDS) + FLOOR)
    found = model(wave_[None]).numpy()[0]
    assert found.shape == (RATE // HOP - 1, N_BANDS)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_every_band_has_its_place():
    bands = mel(HOP, RATE, N_BANDS)
    assert (bands.sum(axis=0) > 0.2).all()
    assert (np.diff(bands.argmax(axis=0)) >= 0).all() and bands.max() <= 1


def some(n):
    labels = np.arange(n, dtype=np.int32) % 4
    sounds = [sources.second(speech.placed(tone(300 * (label + 1)), RANDOM)) for label in labels]
    return Labelled(np.stack(sounds), labels)


def test_a_small_file_answers_what_the_network_does(teacher, tmp_path):
    """Few steps of distillation; export itself compares the file with the network."""
    splits = Splits("tones", some(32), some(16), some(16), synthetic=True)
    subject = Classified(splits, system.network, system.distorted, asked="wave")
    teacher(subject.batch(tf.range(32))[0], training=True)
    student = system.OWN.student(teacher)
    constants = [student.get_layer(name).get_weights()[0] for name in ("transform", "bands")]
    taught = tfc.distill(student, teacher, 4.0, 0.7, taught_on(subject))
    taught.compile("adam")
    for _ in range(10):
        taught.train_step(tf.range(16))
    for name, before in zip(("transform", "bands"), constants, strict=True):
        np.testing.assert_array_equal(student.get_layer(name).get_weights()[0], before)
    calls = {"classify": subject.calls()}
    made = tfc.export(student, tmp_path / "own", subject.signatures(), verify_with=calls)
    logits = student.predict(subject.calls()[0]["wave"], verbose=0)
    found = tfc.LiteModel(made.model).run("classify", subject.calls()[0])["logits"]
    assert np.abs(found - logits).max() < 0.2 * max(1, np.abs(logits).max())
    whole = sum(4 * int(tf.size(weight)) for weight in teacher.weights)
    assert made.report["sizes"]["bytes"] < 0.12 * whole
    assert subject.quality(made.model).shape == (16,)


def test_the_published_techniques_are_each_done(teacher):
    planned = tfc.plan(teacher, system.SPARSE)
    pruned = [layer for layer in planned.layers if layer.steps]
    assert len(pruned) == len(system.BLOCKS) + 1
    assert all("Global" in str(layer.steps) for layer in pruned)


def test_our_own_spec_leaves_no_kernel_in_float(teacher):
    planned = tfc.plan(teacher, system.NARROW_IN_INTEGERS)
    kernels = [layer for layer in planned.layers if layer.before.kind in ("Conv2D", "Dense")]
    assert len(kernels) == 8 and not any(layer.skipped for layer in kernels)
    assert all("Quantize" in str(layer.steps) for layer in kernels)


def test_a_sound_is_moved_and_made_quieter(monkeypatch):
    monkeypatch.setattr(system, "MOST_FASTER", 0.0)
    sounds = tf.constant(RANDOM.normal(0, 0.1, (8, RATE)).astype("f"))
    first, again = (system.distorted(sounds, tf.constant([1, 2])).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    places = []
    for before, after in zip(sounds.numpy(), first, strict=True):
        match = np.fft.irfft(np.fft.rfft(after) * np.conj(np.fft.rfft(before)))
        places.append((match.argmax() + RATE // 2) % RATE - RATE // 2)
        ratio = np.sqrt(np.mean(after**2) / np.mean(before**2))
        assert system.LEAST_GAIN * 0.6 < ratio < 1.1  # white noise is damped between samples
    assert 0 < np.abs(places).max() <= system.MOST_SHIFTED and len(set(places)) > 4


def test_a_sound_is_played_faster_or_slower():
    tones = tf.constant(np.tile(tone(1000, 1.0), (32, 1)))
    played = system.distorted(tones, tf.constant([1, 2])).numpy()[:, 2000:6000]
    pitches = np.abs(np.fft.rfft(played * np.hanning(4000), 8000)).argmax(axis=1)
    fastest = np.exp(system.MOST_FASTER)
    assert 1000 / fastest - 2 < pitches.min() < 900 and 1100 < pitches.max() < 1000 * fastest + 2
