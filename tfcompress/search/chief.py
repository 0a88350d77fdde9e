"""The chief: it answers workers until all trials have ended."""

from __future__ import annotations

import os
import time
from concurrent import futures
from typing import Any

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer
from keras_tuner.src.engine import conditions

from tfcompress.errors import SpecError
from tfcompress.search.reaching import BEARS_IT

_LOOK = 0.2  # seconds


def hush() -> None:
    """Ends KerasTuner's habit of printing every condition that it sends over the network."""
    conditions.print = lambda *values: None


def address_of() -> str:
    """Where KerasTuner's environment says that the chief is."""
    return f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"


def serve(oracle: Any) -> None:
    """Answers workers at KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT.

    KerasTuner's own chief waits forever for a worker that was lost; this one hands its trial on.

    Raises:
        SpecError: nobody can be answered at this address.
    """
    address = address_of()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=BEARS_IT)
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise SpecError(
            f"The chief cannot listen at {address}; expected a free port of this machine."
        ) from error
    oracle.leased = True
    server.start()
    while not oracle.is_over():
        time.sleep(_LOOK)
        oracle.give_up_lost()
    server.stop(grace=1.0).wait()
