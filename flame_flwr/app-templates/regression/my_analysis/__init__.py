"""A logistic regression of the patients of all hospitals."""
