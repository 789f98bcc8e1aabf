"""The secrets of a stack: made when it is first started, kept with mode 600, given to services by files and variables alone."""

import datetime
import secrets
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ConfigDict, Field

from infra.local.files import write_private
from infra.local.stack import Stack

YEARS = 10  # for which Dask's certificate is good
ADMIN = "admin"  # MLflow's first user


def _secret() -> str:
    return secrets.token_hex(20)  # letters and digits: they need no quoting anywhere


class Credentials(BaseModel):
    """One for each door."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    postgres: str = Field(default_factory=_secret)  # of the user that makes roles and databases
    databases: str = Field(default_factory=_secret)  # of the roles of MLflow and Prefect
    mlflow: str = Field(default_factory=_secret)  # of MLflow's admin
    mlflow_sessions: str = Field(default_factory=_secret)  # signs the cookies of MLflow's pages
    prefect: str = Field(default_factory=lambda: f"ulmfit:{_secret()}")
    s3_key: str = Field(default_factory=lambda: secrets.token_hex(10).upper())
    s3_secret: str = Field(default_factory=_secret)
    dashboard: str = Field(default_factory=_secret)

    @classmethod
    def read(cls, stack: Stack) -> Self:
        """Those of a stack that was started before."""
        return cls.model_validate_json(_file(stack).read_bytes())

    @classmethod
    def make(cls, stack: Stack, postgres: str | None) -> Self:
        """Those that are there, or new ones. ``postgres``: the password of a server that is there already."""
        if _file(stack).exists():
            return cls.read(stack)
        made = cls(postgres=postgres) if postgres else cls()
        made.write(stack)
        return made

    def write(self, stack: Stack) -> None:
        """Keep them, also in the forms that services read."""
        user, host, port = stack.database_server
        passwords = {user: self.postgres, "ulmfit_mlflow": self.databases, "ulmfit_prefect": self.databases}
        lines = [f"{_escaped(host)}:{port}:*:{_escaped(name)}:{_escaped(password)}\n" for name, password in passwords.items()]
        write_private(stack.passwords, "".join(lines))
        write_private(stack.secrets / "dashboard", self.dashboard)
        if not tls_files(stack)[0].exists():
            make_certificate(*tls_files(stack))
        write_private(_file(stack), self.model_dump_json(indent=2))


def _file(stack: Stack) -> Path:
    return stack.secrets / "credentials.json"


def _escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace(":", "\\:")


def tls_files(stack: Stack) -> tuple[Path, Path]:
    """Dask's certificate and key. Scheduler, workers and clients show the same one, which signs itself: who has it is let in."""
    return stack.secrets / "dask.pem", stack.secrets / "dask-key.pem"


def make_certificate(certificate: Path, key: Path) -> None:
    """A key, and a certificate that it signs itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ulmfit-dask")]), datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # for a clock that goes back
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    pkcs8 = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(key, pkcs8.decode())
    write_private(certificate, made.public_bytes(serialization.Encoding.PEM).decode())
