"""Where text comes from: named corpora, the user's files, and the checks both pass."""
