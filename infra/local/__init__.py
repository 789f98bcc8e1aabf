"""The services of a team as processes on one machine, without containers: ``make stack``.

PostgreSQL, an S3 server, MLflow, Prefect with a worker for each pool, Dask, and the dashboard, under a supervisor. All state is in one folder.
"""
