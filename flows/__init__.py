"""The flows, which only compose tasks, and the command line."""
