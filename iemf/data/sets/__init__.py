"""One file a data set: how its files lie, what was published of it, and how it is loaded."""
