"""Audio-visual class-incremental learning: the benchmark of Pian et al. 2023 (AV-CIL), with and without IEMF."""
