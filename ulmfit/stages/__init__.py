"""The stages of the method: each a function of typed inputs that gives a recipe and how to build its artifact."""
