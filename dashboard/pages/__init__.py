"""A file a page: its address, and that of the JSON behind it."""
