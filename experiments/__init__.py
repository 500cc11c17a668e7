"""Entry points: ``python -m experiments.NAME``; each is thin and leaves the work to the packages."""
