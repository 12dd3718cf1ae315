"""A logistic regression trained at several hospitals."""
