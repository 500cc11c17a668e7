"""Class-incremental learning: options, runs, the sweep and its report."""
