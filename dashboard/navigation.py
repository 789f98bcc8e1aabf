"""The pages that the navigation names, in its order: title and address."""

NAVIGATION = (
    ("Now", "/"),
    ("Models", "/models"),
    ("Data", "/data"),
    ("Lineage", "/lineage"),
    ("Studies", "/studies"),
    ("Runs", "/runs"),
    ("Cost", "/cost"),
)
