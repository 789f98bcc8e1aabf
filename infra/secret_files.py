"""``python -m infra.secret_files FOLDER``: new secrets for compose or Kubernetes, a file each; those that are there stay.

The folder is closed to others (mode 700); the files in it can be read by whoever a container runs as, for a file that is mounted keeps its
mode. Keep the folder out of the checkout, and a copy of it beside the backups: without it they are of no use.
"""

import sys
from pathlib import Path

from infra.local.credentials import Credentials, make_certificate

CERTIFICATE, KEY = "dask-certificate", "dask-key"
READABLE = 0o444


def make(folder: Path) -> list[str]:
    """The names of the files that were made."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    new, serving = Credentials(), Credentials().dashboard
    wanted = {
        "postgres": new.postgres,  # of the user that makes roles and databases
        "postgres-databases": new.databases,  # of the roles of MLflow and Prefect
        "mlflow": new.mlflow,  # of MLflow's admin
        "mlflow-sessions": new.mlflow_sessions,
        "prefect": new.prefect,
        "s3-key": new.s3_key,
        "s3-secret": new.s3_secret,
        "dashboard": new.dashboard,
        "serving": serving,
    }
    made = [name for name, value in wanted.items() if _write(folder / name, value)]
    key, secret = ((folder / name).read_text() for name in ("s3-key", "s3-secret"))
    made += ["s3-auth"] if _write(folder / "s3-auth", f'"{key},{secret}"') else []  # for rclone: a list, as a line of csv
    if not (folder / KEY).exists():
        make_certificate(folder / CERTIFICATE, folder / KEY)
        made += [CERTIFICATE, KEY]
        for name in (CERTIFICATE, KEY):
            (folder / name).chmod(READABLE)
    return made


def _write(file: Path, value: str) -> bool:
    if file.exists():
        return False
    file.write_text(value)
    file.chmod(READABLE)
    return True


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m infra.secret_files FOLDER")
    for name in make(Path(sys.argv[1])):
        print(f"made  {name}")
