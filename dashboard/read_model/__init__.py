"""The read model: what the pages show, in a SQLite file of the dashboard's own, filled from store, ledger, MLflow and Prefect."""
