"""Prefect, Dask and MLflow around a stage. The only place that knows Dask and MLflow."""
