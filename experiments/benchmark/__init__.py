"""Timings: the neuron and the training step beside other libraries, and the reading of data."""
