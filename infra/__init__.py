"""Where the services run: on one machine (``local``)."""
