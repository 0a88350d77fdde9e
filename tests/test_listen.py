"""surgery.listening hears every call, and leaves no trace."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tfcompress.surgery import listening


def test_every_call_is_heard_with_values_also_where_it_was_traced():
    layer = keras.layers.Dense(2)
    traced = tf.function(layer)
    expected = traced(tf.ones((3, 4))).numpy()
    heard = []
    with listening([(layer, lambda inputs, outputs: heard.append((inputs, outputs.numpy())))]):
        traced(tf.ones((3, 4)))
        layer(tf.zeros((1, 4)))
    assert [inputs.shape.as_list() for inputs, _ in heard] == [[3, 4], [1, 4]]
    np.testing.assert_allclose(heard[0][1], expected)
    layer(tf.ones((1, 4)))
    assert len(heard) == 2 and "call" not in vars(layer)


def test_an_error_leaves_layers_and_tensorflow_as_they_were():
    layer = keras.layers.Dense(2)
    own = vars(layer)["call"] = layer.call
    with pytest.raises(RuntimeError, match="stop"), listening([(layer, lambda *_: None)]):
        assert tf.config.functions_run_eagerly()
        raise RuntimeError("stop")
    assert vars(layer)["call"] == own and not tf.config.functions_run_eagerly()
