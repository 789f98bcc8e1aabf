"""Which libraries an artifact was made with."""

from importlib import metadata

LIBRARIES = ("ulmfit", "torch", "pyarrow", "spacy", "numpy", "scikit-learn")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a result depends on."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
