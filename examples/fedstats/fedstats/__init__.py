"""A meta-analysis of Cox regressions over several hospitals, in one round, as a Flower app."""
