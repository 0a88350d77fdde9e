"""Spoken words as they come: from the program espeak-ng, or a folder of Speech Commands."""

from __future__ import annotations

import io
import subprocess
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments.data.labelled import Labelled
from experiments.data.movielens_sources import DataError

RATE = 8000  # samples a second of what we keep: what telephones send of a voice

Wave = npt.NDArray[np.float32]

_PROGRAM = "espeak-ng"
_TIMEOUT_S = 30
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


def version() -> str:
    """The version of espeak-ng, such as "1.51"; voices differ between versions.

    Raises:
      DataError: if it is missing.
    """
    words = _output(["--version"]).decode(errors="replace").split()
    return words[words.index("text-to-speech:") + 1] if "text-to-speech:" in words else "unknown"


def voices() -> set[str]:
    """The files of all variants of voices that espeak-ng has here, such as "f3".

    Raises:
      DataError: if it is missing.
    """
    lines = _output(["--voices=variant"]).decode(errors="replace").splitlines()
    return {part[3:] for line in lines for part in line.split() if part.startswith("!v/")}


def say(word: str, voice: str, speed: int, pitch: int) -> Wave:
    """A word as espeak-ng says it, without the silence around it.

    Args:
      word: what to say. voice: a language, and a variant behind a plus: "en-us+f3".
      speed: words a minute. pitch: 0 to 99.

    Returns:
      float32 [samples], `RATE` a second, between -1 and 1.

    Raises:
      DataError: if espeak-ng is missing, or says nothing.
    """
    settings = ["-z", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout"]
    samples, rate = _read(_output([*settings, word]), f"What espeak-ng says with the voice {voice}")
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max(initial=0.0))
    if not len(loud):
        raise DataError(f"espeak-ng said nothing for {word!r} with the voice {voice}.")
    return resampled(samples[loud[0] : loud[-1] + 1], rate)


def _output(arguments: list[str]) -> bytes:
    command = [_PROGRAM, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(
            f"espeak-ng cannot be run ({error}). Install it (Debian package espeak-ng), or name a "
            "folder that holds Speech Commands."
        ) from error
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        raise DataError(f"{' '.join(command)} ended with status {done.returncode}: {message}")
    return done.stdout


def _read(content: bytes, what: str) -> tuple[Wave, int]:
    """The samples of a WAV file and how many are a second."""
    try:
        with wave.open(io.BytesIO(content)) as opened:
            layout = opened.getnchannels(), opened.getsampwidth()
            rate, frames = opened.getframerate(), opened.readframes(opened.getnframes())
    except (wave.Error, EOFError) as error:
        raise DataError(f"{what} cannot be read ({error}), expected a WAV file.") from error
    if layout != (1, 2):
        raise DataError(
            f"{what} has {layout[0]} channels of {8 * layout[1]} bits, expected one of 16 bits."
        )
    return np.frombuffer(frames, "<i2").astype(np.float32) / np.float32(2**15), rate


def resampled(samples: Wave, rate: int) -> Wave:
    """The same sound with `RATE` samples a second; what is above half of that is left out.

    By the Fourier transform, as a whole: exact for a sound that is silent at both ends.

    >>> tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    >>> bool(np.abs(resampled(tone, 16000) - tone[::2]).max() < 1e-5)
    True
    """
    if rate == RATE:
        return samples
    length = round(len(samples) * RATE / rate)
    padded = np.pad(samples, (0, max(0, round(length * rate / RATE) - len(samples))))
    spectrum = np.fft.rfft(padded)
    kept = np.zeros(length // 2 + 1, np.complex128)
    common = min(len(kept), len(spectrum))
    kept[:common] = spectrum[:common]
    return (np.fft.irfft(kept, length) * (length / len(padded))).astype(np.float32)


def second(samples: Wave) -> npt.NDArray[np.int16]:
    """The first second of a sound as int16 [RATE]; silence follows what is shorter.

    >>> second(np.array([1.0, -0.5], np.float32))[:3].tolist()
    [32767, -16384, 0]
    """
    kept = np.pad(samples[:RATE], (0, max(0, RATE - len(samples))))
    return np.rint(np.clip(kept, -1, 1) * np.float32(2**15 - 1)).astype(np.int16)


def read_folder(folder: Path) -> tuple[list[str], Mapping[str, Labelled]]:
    """Reads a set in the layout of Speech Commands (Warden, 2018).

    A folder for each word holds WAV files (one channel, 16 bits) of about a second; two lists say
    which of them are for validation and for testing, so that no speaker is in two splits. Folders
    whose names begin with an underscore, such as `_background_noise_`, are no words.

    Args:
      folder: where the words' folders and the two lists are.

    Returns:
      The words, and the splits `train`, `validation` and `test`.

    Raises:
      DataError: if a list, a file of it or every sound of a split is missing, or one is no WAV.
    """
    words = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "_")
    lists = {split: _listed(folder / name) for split, name in _LISTS.items()}
    every = {
        str(path.relative_to(folder)) for word in words for path in folder.glob(f"{word}/*.wav")
    }
    for split, names in lists.items():
        if missing := sorted(names - every):
            raise DataError(
                f"{folder} lacks {missing[0]}, one of {len(missing)} files that {_LISTS[split]} "
                "names. Get Speech Commands whole."
            )
    lists["train"] = every.difference(*lists.values())
    return words, {split: _split(folder, words, split, names) for split, names in lists.items()}


def _listed(path: Path) -> set[str]:
    if not path.is_file():
        raise DataError(
            f"{path} is missing, expected the layout of Speech Commands: a folder of WAV files for "
            f"each word, {' and '.join(_LISTS.values())}."
        )
    return {line.strip() for line in path.read_text().splitlines() if line.strip()}


def _split(folder: Path, words: list[str], split: str, names: set[str]) -> Labelled:
    if not names:
        raise DataError(f"{folder} has no sound for {split}, expected some of each word.")
    paths = [folder / name for name in sorted(names)]
    sounds = [second(resampled(*_read(path.read_bytes(), str(path)))) for path in paths]
    labels = [words.index(path.parent.name) for path in paths]
    return Labelled(np.stack(sounds), np.array(labels, np.int32))
