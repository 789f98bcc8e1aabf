"""Members of archives, read as streams: nothing is written to disk, and no path inside is trusted."""
