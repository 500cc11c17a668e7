"""Small programs that use the packages."""
