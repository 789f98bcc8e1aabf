"""Plain reference implementations that tests compare with."""
