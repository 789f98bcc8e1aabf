"""The user's environment: what reaches a run, and what does not."""

from __future__ import annotations

import httpx
import pytest

from cli.surroundings import past_proxies, settle


def test_what_says_how_to_reach_a_server_is_kept() -> None:
    known = {
        "PREFECT_API_URL": "http://host/api",
        "PREFECT_API_KEY": "k",
        "MLFLOW_TRACKING_URI": "http://host",
        "MLFLOW_TRACKING_TOKEN": "t",
        "MLFLOW_S3_ENDPOINT_URL": "http://s3",
        "AWS_PROFILE": "p",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": "ca.pem",
        "HTTPS_PROXY": "http://proxy:3128",
        "PYTHONPATH": "/a:/b",
        "ULMFIT_HOME": "/w",
    }
    environment = dict(known)
    assert settle(environment) == [] and known.items() <= environment.items()


@pytest.mark.parametrize(
    "name",
    [
        "PREFECT_SERVER_DATABASE_CONNECTION_URL",
        "PREFECT_API_DATABASE_CONNECTION_URL",
        "PREFECT_PROFILE",
        "PREFECT_TASKS_DEFAULT_RETRIES",
        "MLFLOW_REGISTRY_URI",
        "MLFLOW_RUN_ID",
        "MLFLOW_EXPERIMENT_ID",
        "MLFLOW_ENABLE_ASYNC_LOGGING",
        "MLFLOW_LOCK_MODEL_DEPENDENCIES",
    ],
)
def test_what_would_change_a_run_is_left_out_and_named(name: str) -> None:
    environment = {name: "x", "HOME": "/home/me"}
    assert settle(environment) == [name] and name not in environment and environment["HOME"] == "/home/me"


def test_children_start_as_python_does_by_itself() -> None:
    environment = {
        "PYTHONPATH": ":/a::/b",
        "PYTHONINSPECT": "1",
        "PYTHONIOENCODING": "utf-16",
        "PYTHONWARNINGS": "error",
        "PREFECT_HOME": "/h",
    }
    assert settle(environment) == []
    python = {name: value for name, value in environment.items() if name.startswith("PYTHON")}
    assert python == {"PYTHONPATH": "/a:/b", "PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "ignore"} and "PREFECT_HOME" not in environment


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "127.0.0.1:9", "socks5://127.0.0.1:9", "socks4://127.0.0.1:9"])
def test_the_loopback_is_reached_past_any_proxy(monkeypatch: pytest.MonkeyPatch, name: str, proxy: str) -> None:
    environment = {name: proxy, "NO_PROXY": "[::1],fe80::/10", "no_proxy": "10.0.0.0/8"}
    settle(environment)
    for key in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(key, raising=False)
        monkeypatch.delenv(key.lower(), raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with httpx.Client() as client:  # as Prefect's does
        for host in ("127.0.0.1", "localhost", "[::1]"):
            assert "Proxy" not in type(client._transport_for_url(httpx.URL(f"http://{host}:4200"))._pool).__name__  # type: ignore[attr-defined]


def test_the_users_exceptions_to_the_proxy_stay() -> None:
    assert past_proxies({"NO_PROXY": "a.org, 10.0.0.0/8", "no_proxy": ".b.org,[::1],fe80::/10"})["no_proxy"] == (
        "a.org,10.0.0.0/8,.b.org,::1,127.0.0.1,localhost"
    )
