"""The server of ``ulmfit serve``: HTTP around a model, batches across requests, the champion watched."""
