"""The first table of a paper: who the patients of all hospitals are."""
