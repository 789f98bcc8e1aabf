"""Training: the method's three trainings (paper, section 3), the loop, learning rates, checkpoints, several processes."""
