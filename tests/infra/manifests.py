"""Kubernetes manifests as kustomize would see them: its part that ours need, to be checked where there is no kustomize."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT

FOLDER = ROOT / "infra" / "kubernetes"
OVERLAYS = sorted(path.parent for path in FOLDER.glob("overlays/*/kustomization.yaml"))
KNOWN = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator", "secretGenerator", "generatorOptions", "labels", "images"}
KNOWN |= {"replicas", "patches"}

Manifest = dict[str, Any]


def named(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def built(folder: Path) -> list[Manifest]:
    """What `kustomize build` would print. AssertionError for a file, a target or an image that is not there."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(kustomization) <= KNOWN, f"{folder}: this check does not know {set(kustomization) - KNOWN}"
    found = (
        [manifest for name in kustomization["resources"] for manifest in _resources(folder / name)] if "resources" in kustomization else []
    )
    found += _generated(folder, kustomization)
    assert len({named(manifest) for manifest in found}) == len(found), f"{folder}: a name stands twice"
    for patch in kustomization.get("patches", ()):
        _patch(folder, found, patch)
    for wanted in kustomization.get("replicas", ()):
        (target,) = [one for one in found if one["metadata"]["name"] == wanted["name"] and "replicas" in one.get("spec", {})]
        target["spec"]["replicas"] = wanted["count"]
    for image in kustomization.get("images", ()):
        users = [one for manifest in found for one in containers(manifest) if one["image"].partition(":")[0] == image["name"]]
        assert users, f"{folder}: no container has the image {image['name']}"
        for one in users:
            one["image"] = f"{image['newName']}:{image['newTag']}"
    return found


def _resources(path: Path) -> list[Manifest]:
    assert path.exists(), f"{path}: there is no such resource"
    return built(path) if path.is_dir() else [one for one in yaml.safe_load_all(path.read_text()) if one]


def _generated(folder: Path, kustomization: Manifest) -> Iterator[Manifest]:
    for kind, key in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
        for one in kustomization.get(key, ()):
            assert kustomization["generatorOptions"]["disableNameSuffixHash"], "names are looked up as they are"
            assert kind == "Secret" or all((folder / file).exists() for file in one["files"])
            names = [Path(file).name for file in one["files"]]
            yield {"apiVersion": "v1", "kind": kind, "metadata": {"name": one["name"]}, "data": dict.fromkeys(names, "")}


def _patch(folder: Path, found: list[Manifest], patch: Manifest) -> None:
    text = (folder / patch["path"]).read_text() if "path" in patch else patch["patch"]
    for change in yaml.safe_load_all(text):
        targets = [one for one in found if named(one) == named(change)]
        assert targets, f"{folder}: a patch of {named(change)}, which is not there"
        if "target" in patch:
            assert (patch["target"]["kind"], patch["target"]["name"]) == named(change)
        if change.pop("$patch", None) == "delete":
            found.remove(targets[0])
        else:
            merge(targets[0], change)


def merge(target: Manifest, change: Manifest) -> None:
    """A strategic merge, of lists those whose items have names."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        elif isinstance(value, list) and value and isinstance(value[0], dict) and "name" in value[0]:
            there = {item["name"]: item for item in target[key]}
            for item in value:
                assert item["name"] in there, f"a patch of {item['name']}, which is not there"
                merge(there[item["name"]], item)
        else:
            target[key] = copy.deepcopy(value)


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod that a manifest makes."""
    spec = manifest.get("spec", {})
    spec = spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec
    return spec["template"] if manifest["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob", "DaemonSet") else None


def containers(manifest: Manifest) -> list[Manifest]:
    pod = pod_of(manifest)
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]] if pod else []
