"""Training: schedules, the loops, and the stages that the DAG and the estimator share."""
