"""Ways to change a training set."""
