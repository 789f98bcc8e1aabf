"""The stages of the workflow, each a Prefect task; the only place that knows MLflow and Dask."""
