"""Learning curves and their forecasts: what more labels, or more unlabelled documents, are likely to bring."""
