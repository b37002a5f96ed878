"""What can be done with codes: moments, relative codes, paths, exchange."""
