"""Data sets, one file each; :func:`iemf.data.base.training_loader` and its sibling turn their splits into batches."""
