"""Language models to start from."""
