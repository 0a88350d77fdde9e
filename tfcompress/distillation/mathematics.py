"""The mathematics of distillation: plain functions of logits, with shapes in their docstrings."""

from __future__ import annotations

from typing import Any

from tfcompress.keras import tf


def softened_divergence(student: Any, teacher: Any, temperature: Any) -> Any:
    """Mean Kullback-Leibler divergence from the teacher's softened distribution, times T squared.

    Hinton, Vinyals and Dean (2015): the factor keeps gradients of the same size at any temperature,
    and several teachers are heard as the mean of their distributions.

    Args:
        student: logits `[n, classes]`.
        teacher: logits `[n, classes]`, or `[teachers, n, classes]`; no gradient flows into them.
        temperature: T, above 0.

    Returns:
        A scalar, in nats, at least 0.

    Example:
        >>> import tensorflow as tf
        >>> logits = tf.constant([[1.0, 2.0, 3.0]])
        >>> float(softened_divergence(logits, logits, temperature=2.0))
        0.0
    """
    softened = tf.stop_gradient(teacher) / temperature
    if softened.shape.rank > student.shape.rank:
        softened = mean_distribution(softened)
    crossed, entropy = cross_entropy(student / temperature, softened)
    return tf.reduce_mean(crossed - entropy) * temperature**2


def mean_distribution(logits: Any, weights: Any = None) -> Any:
    """Logits of the mean of several distributions.

    Args:
        logits: `[teachers, n, classes]`.
        weights: `[teachers]`, above 0, of which only the ratios matter; equal by default.

    Returns:
        `[n, classes]`: the logarithms of the summed probabilities, up to a constant.

    Example:
        >>> import tensorflow as tf
        >>> one, other = tf.math.log([[0.9, 0.1]]), tf.math.log([[0.5, 0.5]])
        >>> tf.nn.softmax(mean_distribution(tf.stack([one, other]))).numpy().round(3)
        array([[0.7, 0.3]], dtype=float32)
    """
    logs = tf.nn.log_softmax(logits)
    if weights is not None:
        logs += tf.math.log(tf.cast(weights, logs.dtype))[:, None, None]
    return tf.reduce_logsumexp(logs, axis=0)


def cross_entropy(student: Any, taught: Any) -> tuple[Any, Any]:
    """Cross-entropy from the distribution of `taught` to the student's, and the former's entropy.

    Both of logits `[n, classes]`, to two `[n]` in nats.
    """
    labels = tf.nn.softmax(taught)
    # Cross-entropies are fused: the classes of a catalogue are passed over as rarely as can be.
    crossed = tf.nn.softmax_cross_entropy_with_logits(labels, student)
    return crossed, tf.nn.softmax_cross_entropy_with_logits(labels, taught)


def listed_cross_entropy(
    student: Any, taught: Any, items: Any, negatives: Any = None
) -> tuple[Any, Any]:
    """The same where the teacher's distribution is known, or heard, on some items alone.

    The teacher's softmax is over its items and the student's over all of them; or over these items
    and a sample of the others, each drawn one standing for as many as the sample leaves out, so
    that its sum is an unbiased estimate of theirs.

    Args:
        student: logits `[n, classes]`.
        taught: the teacher's logits `[n, k]` of `items`.
        items: int32 `[n, k]`, each once in a row.
        negatives: int32 `[s]`, drawn uniformly from all classes; None for all classes. Those that
            are among a row's items are left out of that row.

    Returns:
        The cross-entropy `[n]` and the entropy of the teacher's distribution `[n]`, in nats.

    Example:
        >>> import tensorflow as tf
        >>> student, items = tf.math.log([[0.5, 0.25, 0.25]]), tf.constant([[0]])
        >>> round(float(listed_cross_entropy(student, tf.zeros((1, 1)), items)[0][0]), 4)
        0.6931
    """
    labels = tf.nn.softmax(taught)
    picked = tf.gather(student, items, batch_dims=1)
    if negatives is None:
        whole = tf.reduce_logsumexp(student, axis=-1)
    else:
        rest = _sampled(student, items, negatives)
        whole = tf.reduce_logsumexp(tf.concat([picked, rest], axis=1), axis=1)
    crossed = whole - tf.reduce_sum(labels * picked, axis=1)
    return crossed, tf.nn.softmax_cross_entropy_with_logits(labels, taught)


def _sampled(student: Any, items: Any, negatives: Any) -> Any:
    # Logits [n, s], each raised by the logarithm of how many items it stands for in its row.
    drawn = tf.gather(student, negatives, axis=1)
    # Sorted, so that [n, s, k] comparisons are never made.
    place = tf.searchsorted(
        tf.sort(items, axis=1), tf.tile(negatives[None], [tf.shape(items)[0], 1])
    )
    place = tf.minimum(place, tf.shape(items)[1] - 1)
    taken = tf.gather(tf.sort(items, axis=1), place, batch_dims=1) == negatives[None]
    kept = tf.reduce_sum(tf.cast(~taken, drawn.dtype), axis=1, keepdims=True)
    others = tf.cast(tf.shape(student)[1] - tf.shape(items)[1], drawn.dtype)
    stands_for = tf.math.log(tf.maximum(others, 1.0) / tf.maximum(kept, 1.0))
    return tf.where(taken, drawn.dtype.min, drawn + stands_for)


def mean_squared_error(student: Any, teacher: Any) -> Any:
    """Mean of the squared differences of two tensors of one shape: a scalar.

    Example:
        >>> import tensorflow as tf
        >>> float(mean_squared_error(tf.constant([1.0, 2.0]), tf.constant([1.0, 4.0])))
        2.0
    """
    return tf.reduce_mean(tf.math.squared_difference(student, tf.stop_gradient(teacher)))
