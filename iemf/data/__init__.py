"""Audio-visual data: sets/ (one file a data set) on preparation/ on sound, images, noise, clips and splits, here."""
