"""Drawings as SVG from the server: attributes and classes alone, since the site allows no style in markup."""
