"""Audio-visual question answering: questions, features, the baseline and ST-AVQA, accuracy by type."""
