"""The machine: the type of matrix products, memory pages, devices."""
