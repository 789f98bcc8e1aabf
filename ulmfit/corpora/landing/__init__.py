"""Landing: text that comes in over time. Files that are new by their content become parts for ever, and a ledger knows what came when."""
