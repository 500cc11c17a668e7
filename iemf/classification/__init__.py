"""Audio-visual classification: the stage that the loop trains, and how it is evaluated."""
