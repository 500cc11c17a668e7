"""Audio-visual question answering: options, data, runs, the sweep and its report."""
