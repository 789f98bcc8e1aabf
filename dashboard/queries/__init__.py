"""What each page shows, as typed facts read from the read model: no server is asked."""
