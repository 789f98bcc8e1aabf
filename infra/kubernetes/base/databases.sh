#!/bin/sh
# Roles and databases of MLflow and Prefect, at the first start of an empty PostgreSQL; names as in infra/local.
set -eu
psql --variable ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat /run/secrets/postgres-databases`
SET log_min_error_statement = 'panic';
CREATE ROLE ulmfit_mlflow LOGIN PASSWORD :'password';
CREATE ROLE ulmfit_prefect LOGIN PASSWORD :'password';
CREATE DATABASE ulmfit_mlflow OWNER ulmfit_mlflow;
CREATE DATABASE ulmfit_mlflow_auth OWNER ulmfit_mlflow;
CREATE DATABASE ulmfit_prefect OWNER ulmfit_prefect;
\connect ulmfit_prefect
CREATE EXTENSION IF NOT EXISTS pg_trgm;
SQL
