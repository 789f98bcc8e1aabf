"""Container files, and what they are built with."""
