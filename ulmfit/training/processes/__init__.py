"""One training on several processes of a machine."""
