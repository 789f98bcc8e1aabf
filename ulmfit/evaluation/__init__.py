"""Pure functions of predictions and true labels: scores, calibration, the baseline, results."""
