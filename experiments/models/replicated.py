"""Losses of a batch that several replicas of a model share.

Gradients of replicas are added up. So each replica's loss is its share of the loss of the whole
batch, and not the mean of its own part: parts may hold different numbers of targets.
"""

from __future__ import annotations

from typing import Any

from experiments.models import tf

Tensor = Any


def mean_of_all(values: Tensor) -> Tensor:
    """The mean of some values; of several replicas, a replica's share of the mean over all of them.

    Args:
      values: float32 [n], n as each replica has it.

    Returns:
      float32 []; the replicas' add up to the mean.

    >>> float(mean_of_all(tf.constant([1.0, 2.0])))
    1.5
    """
    if _count() == 1:
        return tf.reduce_mean(values)
    counts = tf.cast(tf.size(values), values.dtype)
    return tf.reduce_sum(values) / tf.distribute.get_replica_context().all_reduce("sum", counts)


def share(value: Tensor) -> Tensor:
    """A replica's share of a value that all of them compute alike.

    >>> float(share(tf.constant(3.0)))
    3.0
    """
    return value / _count() if _count() > 1 else value


def _count() -> int:
    context = tf.distribute.get_replica_context()
    return 1 if context is None else int(context.num_replicas_in_sync)
