"""Words spoken by a program in noise, or those of Speech Commands, in three splits.

The program is espeak-ng, a synthesizer; nobody was recorded. It says the ten commands of Warden,
"Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition" (2018), and two digits.
Splits share no voice. Sounds are made once, cached, and never committed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from experiments.data import speech_sources as sources
from experiments.data.labelled import Labelled, Splits, from_arrays, to_arrays
from experiments.data.movielens import cache_folder
from experiments.data.movielens_sources import DataError, restored
from experiments.data.speech_sources import RATE, Wave
from experiments.files import save_arrays

__all__ = ["DataError", "load"]

SEED = 2026
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "one", "nine")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd",
           "en-029", "en-us-nyc")  # fmt: skip
# Voices of one family (klatt, klatt2, ...) are in the same split.
_VOICES = {
    "train": """
        Alex Alicia Andrea Andy AnxiousAndy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Marco
        Mario Michael Mike RicishayMax RicishayMax2 RicishayMax3 Storm UniRobot adam anika
        anikaRobot antonio benjamin boris caleb david ed f1 f2 f3 f4 f5 gustave iven iven2 iven3
        iven4 kaukovalta klatt klatt2 klatt3 klatt4 klatt5 klatt6 linda marcelo max michel norbert
        pedro quincy rob sandro shelby victor whisper whisperf""",
    "validation": "Nguyen edward edward2 john miguel steph steph2 steph3 travis zac",
    "test": """
        Demonic Lee Tweaky aunty belinda croak fast grandma grandpa m1 m2 m3 m4 m5 m6 m7 m8 pablo
        paul robert robosoft robosoft2 robosoft3""",
}
VOICES: Mapping[str, Sequence[str]] = {split: names.split() for split, names in _VOICES.items()}
TAKES: Mapping[str, int] = {"train": 10, "validation": 8, "test": 12}  # of a word by a voice
SLOWEST, FASTEST = 130, 220  # words a minute
LOWEST, HIGHEST = 20, 80  # of espeak-ng's 0 to 99
QUIETEST_DB, LOUDEST_DB = -20.0, 0.0  # the peak of a word, below what int16 holds
NOISIEST_DB, CLEAREST_DB = 5.0, 30.0  # power of a word above that of the noise


@dataclass(frozen=True)
class Utterance:
    """What is to be said, and the number that decides how.

    Attributes:
      word: the class. voice: its variant. number: of the utterance over all splits.
    """

    word: int
    voice: str
    number: int

    def sound(self) -> npt.NDArray[np.int16]:
        """The word in noise, at some place in a second, int16 [RATE].

        Raises:
          DataError: if espeak-ng is missing.
        """
        random = np.random.default_rng([SEED, self.number])
        accent = ACCENTS[random.integers(len(ACCENTS))]
        speed = int(random.integers(SLOWEST, FASTEST + 1))
        pitch = int(random.integers(LOWEST, HIGHEST + 1))
        said = sources.say(WORDS[self.word], f"{accent}+{self.voice}", speed, pitch)
        return sources.second(placed(said, random))


def placed(said: Wave, random: np.random.Generator) -> Wave:
    """A word with some gain, somewhere in a second of noise.

    Args:
      said: float32 [samples], at most `RATE` of which are kept.
      random: decides gain, place and noise.

    Returns:
      float32 [RATE], about -1 to 1.
    """
    said = said[:RATE]
    gain = 10 ** (random.uniform(QUIETEST_DB, LOUDEST_DB) / 20) / np.abs(said).max()
    said = said * np.float32(gain)
    begin = random.integers(RATE - len(said) + 1)
    ratio = 10 ** (-random.uniform(NOISIEST_DB, CLEAREST_DB) / 20)
    noise = coloured(random.uniform(0, 2), random) * (ratio * np.sqrt(np.mean(said**2)))
    noise[begin : begin + len(said)] += said
    return noise.astype(np.float32)


def coloured(slope: float, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """A second of noise whose power falls with frequency ** slope: 0 is white, 1 pink, 2 brown.

    Returns:
      float64 [RATE], mean square 1.
    """
    spectrum = np.fft.rfft(random.standard_normal(RATE))
    hertz = np.maximum(np.arange(len(spectrum)), 20)  # a second: its n-th coefficient is n Hz
    noise = np.fft.irfft(spectrum * hertz ** (-slope / 2), RATE)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def load(folder: Path | None = None) -> Splits:
    """Spoken words in three splits; int16 [8000] is a second.

    Args:
      folder: one in the layout of Speech Commands, see `speech_sources.read_folder`. Without it
        words that espeak-ng says, from our cache or else made, which takes a few minutes.

    Raises:
      DataError: if espeak-ng or a file is missing, or one is broken.
    """
    if folder is not None:
        words, splits = sources.read_folder(folder)
        return Splits.of(f"Speech Commands in {folder.name}", splits, False, {"words": words})
    cached = cache_folder() / "spoken-words-1.npz"
    if not cached.exists():
        save_arrays(cached, _made())
    splits, version = restored(cached, _restore, _check, "spoken words")
    more = {"words": list(WORDS), "espeak_ng": version, "split": "by voice"}
    return Splits.of("words spoken by espeak-ng in noise", splits, True, more)


def utterances(split: str) -> Iterator[Utterance]:
    """All utterances of a split, take by take."""
    first = 1_000_000 * list(VOICES).index(split)
    whole = product(range(TAKES[split]), VOICES[split], range(len(WORDS)))
    for number, (_, voice, word) in enumerate(whole, first):
        yield Utterance(word, voice, number)


def _made() -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of the cache: waves and labels of each split, and espeak-ng's version."""
    wanted = {voice for names in VOICES.values() for voice in names}
    if missing := sorted(wanted - sources.voices()):
        raise DataError(  # it would speak with its own voice instead
            f"This espeak-ng lacks the voices {', '.join(missing)}; expected those of version 1.51."
        )
    splits = {}
    for split in VOICES:
        every = list(utterances(split))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            said = threads.map(Utterance.sound, every)
            shown = track(said, f"speaking for {split}", len(every))
            sounds = np.stack(list(shown))
        splits[split] = Labelled(sounds, np.array([one.word for one in every], np.int32))
    return {"version": np.array(sources.version()), **to_arrays(splits)}


def _restore(path: Path) -> tuple[dict[str, Labelled], str]:
    with np.load(path) as arrays:
        return from_arrays(arrays, VOICES), str(arrays["version"])


def _check(data: tuple[dict[str, Labelled], str], source: object) -> None:
    for split, found in data[0].items():
        labels = np.array([one.word for one in utterances(split)], np.int32)
        expected = (len(labels), RATE), np.dtype(np.int16)
        held = found.values.shape, found.values.dtype
        if held != expected or not np.array_equal(found.labels, labels):
            raise DataError(
                f"{source} holds {held} for {split}, expected {expected} with the labels of "
                f"{len(WORDS)} words. Delete it and run again: it will be made anew."
            )
