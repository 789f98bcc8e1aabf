"""The site that a team looks at: models, versions, runs, cost. It reads the store, MLflow and Prefect, and changes nothing there."""
