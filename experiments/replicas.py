"""Replicas of a model that train in step: on a machine's devices, or in several processes."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import numpy as np

from experiments.models import tf
from experiments.state import Array

STRATEGIES = ("none", "mirrored", "multiworker")
_THREADS = 4
_EXAMPLE = {
    "cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]},
    "task": {"type": "worker", "index": 0},
}


class Replicas:
    """The replicas that share every batch; this process has one of them, or some, or all.

    Args:
      strategy: a MirroredStrategy or MultiWorkerMirroredStrategy; None: one model, as ever.

    Attributes:
      count: of all of them.
      losses: of the steps that were taken here, in nats.
    """

    def __init__(self, strategy: Any = None) -> None:
        self._strategy = strategy
        self.count: int = 1 if strategy is None else strategy.num_replicas_in_sync
        self.losses: list[float] = []
        resolver = getattr(strategy, "cluster_resolver", None)
        self._task = (resolver.task_type, resolver.task_id) if resolver else ("worker", 0)
        self._jobs = resolver.cluster_spec().jobs if resolver else ["worker"]

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what is kept."""
        kind, number = self._task
        return kind == "chief" or ("chief" not in self._jobs and number == 0)

    def said(self, batch: int) -> str:
        """What this process does, in words.

        Args:
          batch: of all replicas together.
        """
        kind, number = self._task
        writes = "writes checkpoint and results" if self.is_chief else "writes nothing"
        return f"{kind} {number}: {self.count} replicas share each batch of {batch}; {writes}."

    def scope(self) -> AbstractContextManager[Any]:
        """Where model and optimizer are made."""
        return nullcontext() if self._strategy is None else self._strategy.scope()

    def check(self, batch: int) -> None:
        """Refuses a batch that cannot be shared.

        Raises:
          ValueError: if the number of replicas does not divide it.
        """
        if batch % self.count:
            raise ValueError(
                f"Received batch={batch} for {self.count} replicas, expected a multiple of "
                f"{self.count}."
            )

    def step(self, model: Any, xla: bool) -> Callable[[Array], float]:
        """A step on a batch of all replicas, whose order is the same in every process.

        Args:
          model: compiled; the losses of its `train_step` on the replicas' parts add up to that of
            the batch.
          xla: whether XLA compiles it; it does not know how to add gradients of several processes,
            and so only does for one replica without a strategy.
        """
        taken = self._alone(model, xla) if self._strategy is None else self._together(model)

        def step(batch: Array) -> float:
            self.losses.append(float(taken(batch)))
            return self.losses[-1]

        return step

    def _alone(self, model: Any, xla: bool) -> Callable[[Array], Any]:
        step = tf.function(model.train_step, jit_compile=xla)
        return lambda batch: step(tf.constant(batch))["loss"]

    def _together(self, model: Any) -> Callable[[Array], Any]:
        strategy = self._strategy

        @tf.function
        def step(rows: Any) -> Any:
            losses = strategy.run(lambda part: model.train_step(part)["loss"], args=(rows,))
            return strategy.reduce("SUM", losses, axis=None)

        return lambda batch: step(self._spread(lambda i: batch[i :: self.count]))

    def of_all(self, number: int) -> list[int]:
        """The numbers of all replicas, alike in every process; each waits for the others."""
        if self._strategy is None:
            return [number]
        spread = self._spread(lambda i: np.array([number], np.int64))
        return [int(one) for one in self._strategy.gather(spread, axis=0)]

    def _spread(self, part: Callable[[int], Array]) -> Any:
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(part(context.replica_id_in_sync_group))
        )


def replicas_of(name: str) -> Replicas:
    """Those of one of `STRATEGIES`; of "multiworker" it is called before anything else is computed.

    Raises:
      ValueError: if there is no such strategy, or the environment's TF_CONFIG does not say which
        processes there are.
    """
    if name not in STRATEGIES:
        raise ValueError(f"Received strategy={name!r}, expected one of {STRATEGIES}.")
    if name == "none":
        return Replicas()
    if name == "mirrored":
        return Replicas(tf.distribute.MirroredStrategy())
    _check_cluster(os.environ.get("TF_CONFIG", ""))
    # Sums over processes wait in these threads: where there is one alone, a step takes seconds.
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS)
    return Replicas(tf.distribute.MultiWorkerMirroredStrategy())


def addresses(count: int) -> list[str]:
    """So many free ones of this machine, as host:port."""
    with ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in free:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in free]


def _check_cluster(text: str) -> None:
    try:
        config = json.loads(text)
        kind, number = config["task"]["type"], config["task"]["index"]
        if kind not in ("chief", "worker"):
            raise KeyError(kind)
        config["cluster"][kind][number]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"Received TF_CONFIG={text!r}, expected in each process's environment all addresses, "
            f"and the index of its own, such as TF_CONFIG='{json.dumps(_EXAMPLE)}'."
        ) from error
