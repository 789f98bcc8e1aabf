"""The manifests for Kubernetes: by the schemas of its version, and by rules of ours. No cluster is at hand here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.infra.manifests import FOLDER, OVERLAYS, Manifest, built, containers, merge, named, pod_of

VERSION = "1.32"
BASE = FOLDER / "base"


@pytest.fixture(params=[BASE, *OVERLAYS], ids=lambda folder: folder.name)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return built(request.param)


@pytest.fixture
def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {named(one)[1]: pod for one in manifests if (pod := pod_of(one))}


def test_every_manifest_fits_the_schema(manifests: list[Manifest]) -> None:
    assert manifests
    for manifest in manifests:
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_every_file_is_in_a_kustomization() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(path.name for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")
    assert [path.name for path in OVERLAYS] == ["gpu", "small"]


def test_what_every_container_has(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        for one in containers(manifest):
            where = f"{named(manifest)}: {one['name']}"
            assert re.fullmatch(r"[\w./-]+:(?!latest)[\w.-]+(@sha256:[0-9a-f]{64})?", one["image"]), where
            assert {"cpu", "memory"} <= one["resources"]["limits"].keys() & one["resources"]["requests"].keys(), where
            security = one["securityContext"]
            assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True, where
            assert security["capabilities"] == {"drop": ["ALL"]}, where
            if manifest["kind"] in ("Deployment", "StatefulSet"):
                assert {"readinessProbe", "livenessProbe", "startupProbe"} <= one.keys(), where


def test_what_every_pod_has(pods: dict[str, Manifest]) -> None:
    for name, pod in pods.items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False and "hostNetwork" not in spec, name
        assert not any("hostPath" in volume for volume in spec["volumes"]), name
        mounted = {mount["name"] for one in spec["containers"] for mount in one["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in spec["volumes"]} | {name, "prefect", "s3", "postgres"}, name


def test_what_is_referred_to_is_there(manifests: list[Manifest], pods: dict[str, Manifest], request: pytest.FixtureRequest) -> None:
    there = {named(one) for one in manifests} | {named(one) for one in built(FOLDER / "secrets")}
    labels = {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods.values()}
    for name, pod in pods.items():
        for volume in pod["spec"]["volumes"]:
            for source in volume.get("projected", {}).get("sources", ()):
                assert ("Secret", source["secret"]["name"]) in there, name
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in there, name
            if given := volume.get("configMap"):
                assert ("ConfigMap", given["name"]) in there, name
        for one in pod["spec"]["containers"]:
            assert all(("ConfigMap", given["configMapRef"]["name"]) in there for given in one.get("envFrom", ())), name
    for manifest in manifests:
        if manifest["kind"] == "Service":
            assert manifest["spec"]["selector"]["app.kubernetes.io/name"] in labels


def test_a_secret_that_a_container_reads_is_mounted_in_it(manifests: list[Manifest], pods: dict[str, Manifest]) -> None:
    keys = {named(one)[1]: set(one["data"]) for one in built(FOLDER / "secrets")}
    settings = {named(one)[1]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
    for name, pod in pods.items():
        sources = [
            source["secret"]["name"] for volume in pod["spec"]["volumes"] for source in volume.get("projected", {}).get("sources", ())
        ]
        mounted = {key for source in sources for key in keys[source]}
        for one in pod["spec"]["containers"]:
            values = [entry["value"] for entry in one.get("env", ())] + one.get("args", [])
            values += [value for given in one.get("envFrom", ()) for value in settings[given["configMapRef"]["name"]].values()]
            read = {value.removeprefix("/run/secrets/") for value in values if value.startswith("/run/secrets/")}
            assert read <= mounted, f"{name} reads {read - mounted}, which is not mounted"


def allowed(policies: list[Manifest], source: str, target: str, port: int) -> bool:
    """Whether the policies let a pod open a connection to another."""

    def selects(selector: Manifest, name: str) -> bool:
        labels = selector.get("matchLabels", {}).get("app.kubernetes.io/name", name)
        return labels == name and all(name in one["values"] for one in selector.get("matchExpressions", ()))

    def direction(kind: str, peer: str, own: str, other: str) -> bool:
        return any(
            selects(rule_peer.get("podSelector", {"matchLabels": {"app.kubernetes.io/name": ""}}), other)
            and any(one["port"] <= port <= one.get("endPort", one["port"]) for one in rule["ports"])
            for policy in policies
            if selects(policy["spec"]["podSelector"], own)
            for rule in policy["spec"].get(kind, ())
            for rule_peer in rule[peer]
        )

    return direction("egress", "to", source, target) and direction("ingress", "from", target, source)


def test_the_network_lets_through_what_is_needed_and_nothing_else(manifests: list[Manifest], pods: dict[str, Manifest]) -> None:
    policies = [one for one in manifests if one["kind"] == "NetworkPolicy"]
    (deny,) = [one for one in policies if one["metadata"]["name"] == "default-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    workers = {"worker-ulmfit", "worker-cpu", "worker-gpu"}
    needed = {
        ("postgres", 5432): {"mlflow", "prefect", "backup"},
        ("s3", 9000): {"mlflow", *workers, "dask-worker", "dashboard", "serving", "deploy", "backup"},
        ("mlflow", 5000): {*workers, "dashboard", "serving", "deploy"},
        ("prefect", 4200): {*workers, "dashboard", "deploy"},
        ("dask-scheduler", 8786): {*workers, "dask-worker"},
        ("dask-worker", 40050): {"dask-worker", "dask-scheduler"},
        ("serving", 8000): set(),
        ("dashboard", 8050): set(),
    }
    for (target, port), callers in needed.items():
        assert {name for name in pods if allowed(policies, name, target, port)} == callers, target
    (out,) = [one for one in policies if one["metadata"]["name"] == "downloads"]
    assert {"169.254.0.0/16", "10.0.0.0/8", "127.0.0.0/8"} <= set(out["spec"]["egress"][0]["to"][0]["ipBlock"]["except"])


def test_the_overlays_change_what_they_are_for() -> None:
    small, gpu = ({named(one): one for one in built(FOLDER / "overlays" / name)} for name in ("small", "gpu"))
    assert small["Deployment", "serving"]["spec"]["replicas"] == 1 and ("PodDisruptionBudget", "serving") not in small
    (worker,) = containers(gpu["Deployment", "worker-gpu"])
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1" and worker["image"].startswith(
        "registry.example.com/ulmfit-workflow-gpu:"
    )
    assert worker["securityContext"]["readOnlyRootFilesystem"] is True, "a patch leaves the rest as it is"


def test_a_patch_of_what_is_not_there_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not there"):
        merge({"containers": [{"name": "worker"}]}, {"containers": [{"name": "other"}]})
    for content in (
        "resources: [gone.yaml]",
        "images: [{name: x, newName: y, newTag: z}]",
        "patches: [{patch: '{kind: A, metadata: {name: b}}'}]",
    ):
        (tmp_path / "kustomization.yaml").write_text(content)
        with pytest.raises(AssertionError):
            built(tmp_path)


def test_names_are_those_of_the_stack_on_one_machine() -> None:
    from infra.local.postgres import DATABASES
    from infra.local.services import POOLS
    from infra.local.stack import BUCKET

    databases = (BASE / "databases.sh").read_text()
    assert all(f"CREATE DATABASE {name} OWNER {owner};" in databases for name, owner in DATABASES.items())
    assert databases.count("CREATE DATABASE") == len(DATABASES) and "pg_trgm" in databases
    pods: dict[str, Any] = {named(one)[1]: one for one in built(BASE)}
    assert all(f"worker-{pool}" in pods for pool in (*POOLS, "ulmfit"))
    assert pods["client"]["data"]["ULMFIT_ARTIFACTS"] == f"s3://{BUCKET}/artifacts"
