"""What of the user's environment reaches a run: the variables that are documented, and nothing else that would change it.

Libraries read hundreds of variables. One that was set for another program must not send our tables to its database, our models to its
registry, or run its files in our servers.
"""

from collections.abc import Mapping, MutableMapping
from importlib.util import find_spec
from urllib.parse import urlsplit

# Of these libraries only variables that say how to reach a server, by prefix. DASK_* apply to an existing cluster alone: see tasks/cluster.py.
LIBRARIES = ("PREFECT_", "MLFLOW_")
USED = (
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_ENABLE_HTTP2",
    "PREFECT_API_KEY",
    "PREFECT_API_REQUEST_TIMEOUT",
    "PREFECT_API_SSL_CERT_FILE",
    "PREFECT_API_TLS_INSECURE_SKIP_VERIFY",
    "PREFECT_API_URL",
    "PREFECT_CLIENT_CUSTOM_HEADERS",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT",
    "MLFLOW_BOTO_",
    "MLFLOW_HTTP_",
    "MLFLOW_KERBEROS_",
    "MLFLOW_MYSQL_",
    "MLFLOW_S3_",
    "MLFLOW_SQLALCHEMYSTORE_",
    "MLFLOW_TRACKING_",
    "MLFLOW_WORKSPACE",
)
UNSAID = ("PREFECT_HOME", "PREFECT_PROFILES_PATH", "PREFECT_LOGGING_", "MLFLOW_LOGGING_")  # left out without a word: no run depends on them

# How Python starts: each would change what a child of ours runs, or what it writes to us.
PYTHON = ("PYTHONINSPECT", "PYTHONIOENCODING", "PYTHONSTARTUP", "PYTHONDEVMODE", "PYTHONOPTIMIZE")

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def settle(environment: MutableMapping[str, str], debug: bool = False) -> list[str]:
    """Leave in ``environment`` what a run uses, and add what our children need. The names of variables that were left out."""
    strange = [name for name in environment if name.startswith(LIBRARIES) and not name.startswith(USED)]
    broken = _unusable_proxies(environment)
    for name in (*strange, *broken, *PYTHON):
        environment.pop(name, None)
    environment.update(_quiet(debug))
    environment["PYTHONSAFEPATH"] = "1"  # a child does not import the files in the user's folder
    if path := environment.get("PYTHONPATH"):  # where an empty entry is that folder too
        environment["PYTHONPATH"] = ":".join(filter(None, path.split(":")))
    environment.update(past_proxies(environment))
    return sorted({*broken, *(name for name in strange if not name.startswith(UNSAID))})


def _quiet(debug: bool) -> dict[str, str]:
    level = "DEBUG" if debug else "CRITICAL"
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_CONFIGURE_LOGGING": "0",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PREFECT_CLIENT_MAX_RETRIES": "8",  # a server that restarts is waited for for 8 minutes; 5 are one minute
        "PREFECT_LOGGING_LEVEL": level,
        "PREFECT_LOGGING_INTERNAL_LEVEL": level,
        "PYTHONWARNINGS": "default" if debug else "ignore",
    }


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by which clients reach the loopback interface directly, whatever proxy the user has.

    Prefect's client cannot read every entry that others can, such as a network of IPv6 addresses, and would not start: these are left out.
    """
    known = ",".join(environment.get(name, "") for name in ("NO_PROXY", "no_proxy"))
    entries = [entry.strip().strip("[]") for entry in known.split(",")]
    readable = [entry for entry in entries if entry and not (":" in entry and ("/" in entry or "[" in entry) and "://" not in entry)]
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(dict.fromkeys([*readable, *LOOPBACK])))


def _unusable_proxies(environment: Mapping[str, str]) -> list[str]:
    """Variables that name a proxy of a kind with which Prefect's client does not even start."""
    kinds = ("http", "https", *(("socks5", "socks5h") if find_spec("socksio") else ()))
    names = [name for upper in PROXIES for name in (upper, upper.lower()) if "://" in environment.get(name, "")]
    return [name for name in names if urlsplit(environment[name]).scheme not in kinds]
