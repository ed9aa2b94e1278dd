"""The targets, by what they parse; ``tests.fuzz.registry`` lists them."""
