"""From the files that people download to shards that training reads fast; it begins in run.py."""
