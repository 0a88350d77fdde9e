"""Ending long work between two steps when a signal asks for it."""

from __future__ import annotations

import signal


class StopRequest:
    """Remembers a SIGINT or SIGTERM, so that training can end between two steps."""

    def __init__(self) -> None:
        self.received = 0

    def install(self) -> None:
        """From now on the first signal asks to stop; a second one acts as usual."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: object) -> None:
        self.received = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return bool(self.received)
