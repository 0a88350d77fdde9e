"""Fixtures for every test: two logical CPUs, fixed seeds, and the small models."""

import tfcompress  # noqa: F401  (first: it chooses the Keras that everything else uses)

# isort: split
import gc
from itertools import count

import pytest
import small_models
import tensorflow as tf
import tf_keras as keras

# Two replicas for the distribution tests; it must be said before TensorFlow starts.
_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)


# Processes of their own, which define flags that other scripts define, too.
collect_ignore = ["auto_processes.py", "sweep_processes.py", "train_processes.py"]

_TESTS = count(1)
_FREEZE_EVERY = 20


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield


@pytest.fixture(autouse=True)
def survivors_frozen():
    """What outlives tests is no longer looked at for garbage.

    TensorFlow's converter collects garbage at every call, which looks at all that a session holds:
    a third of the time of tests that export.
    """
    if next(_TESTS) % _FREEZE_EVERY == 0:
        gc.collect()
        gc.freeze()
    yield


@pytest.fixture(params=list(small_models.FAMILIES), ids=str)
def family(request):
    """One of the four kinds of model, with its data."""
    return small_models.FAMILIES[request.param]


@pytest.fixture(scope="session")
def strategy():
    """Two replicas; one strategy for the whole session, for two would mix up their collectives."""
    found = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert found.num_replicas_in_sync == 2
    return found
