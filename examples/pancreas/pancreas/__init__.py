"""Federated logistic regression, after FLAME's pancreas tutorial, as a Flower app."""
