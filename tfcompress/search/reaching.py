"""A worker's way to the chief: it waits for one that does not answer, and says when it gives up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
from keras_tuner.errors import FatalError
from keras_tuner.src import protos

from tfcompress.errors import SearchError

_PAUSE = 0.2  # seconds
_SILENT = 5.0  # seconds, after which it says that it waits
# A machine that vanished sends no end of a connection: it is asked whether it is there.
ALIVE = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000)]
OFTEN = [("grpc.max_reconnect_backoff_ms", 2_000)]  # a chief that starts late is seen soon
BEARS_IT = [("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000)]  # for the chief


class NoChiefError(SearchError, FatalError):  # type: ignore[misc]
    """Nobody is there to say what came of a trial: KerasTuner ends with it, too."""


class Reached:
    """What KerasTuner's client asks the chief by, in the place of a stub.

    KerasTuner waits an hour for each answer of a chief that is not there.

    Args:
        address: of the chief, host:port.
        patience: seconds without it after which a question raises SearchError, and each one after
            that at once.
    """

    def __init__(self, address: str, patience: float) -> None:
        self._address, self._patience = address, patience
        self._channel = grpc.insecure_channel(address, options=ALIVE + OFTEN)
        self._stub = protos.get_service_grpc().OracleStub(self._channel)
        self._gone = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._stub, name)

        def ask(request: Any, **how: Any) -> Any:
            """Without KerasTuner's own way to wait."""
            del how
            return self._answer(call, request)

        return ask

    def _answer(self, call: Callable[[Any], Any], request: Any) -> Any:
        until = time.monotonic() + self._patience
        while not self._gone and self._is_there(until):
            try:
                return call(request)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                time.sleep(_PAUSE)  # it went away; one that is started again is asked anew
        self._gone = True
        raise NoChiefError(
            f"No chief answered at {self._address} for {self._patience:g} s; expected a search "
            "that runs there. If it has ended there is nothing left to do. Else start the chief "
            "(KERASTUNER_TUNER_ID=chief), check that address and port are the chief's and can be "
            "reached from here, or wait longer: SearchSettings(patience=...)."
        )

    def _is_there(self, until: float) -> bool:
        """Whether there is a connection by then."""
        ready = grpc.channel_ready_future(self._channel)
        for most in (_SILENT, self._patience):
            left = max(0.0, until - time.monotonic())
            try:
                ready.result(timeout=min(most, left))
                return left > 0.0
            except grpc.FutureTimeoutError:
                if left > most:
                    said = f"Waiting for the chief at {self._address}, {left - most:.0f} s more."
                    print(said, file=sys.stderr, flush=True)
        ready.cancel()
        return False
