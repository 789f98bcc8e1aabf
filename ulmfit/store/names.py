"""Names of folders for what people name."""

import hashlib
import re


def folder_of(model: str) -> str:
    """A folder's name for a model's: what of it is plain, and a digest, for names may be long and differ in case alone."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", model)[:40]
    digest = hashlib.sha256(model.encode(errors="surrogatepass")).hexdigest()  # any string a command line can give
    return f"{plain}-{digest[:16]}"
