"""How good predictions are: functions of probabilities and true labels. Scores, calibration, the baseline, results."""
