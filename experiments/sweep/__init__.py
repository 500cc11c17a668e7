"""What all tasks' programs share: runs and what identifies them, the pool, tables and statistics, the command line."""
