"""Where the services run: on one machine (``local``), in containers (``images``, ``compose``), on Kubernetes; and their backups."""
