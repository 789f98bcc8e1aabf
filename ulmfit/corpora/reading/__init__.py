"""Reading: rows out of files and folders. Formats, encodings, compression, archives."""
