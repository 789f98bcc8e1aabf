"""Artifacts: identity, files local and on S3, digests, downloads."""
