"""The pages that the navigation names, in its order: title and address."""

NAVIGATION = (("Now", "/"), ("Models", "/models"), ("Runs", "/runs"), ("Cost", "/cost"))
