"""What else could have made the file: every way from a Keras model to a small one, side by side."""
