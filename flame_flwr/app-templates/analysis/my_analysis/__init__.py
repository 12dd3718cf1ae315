"""Patients and their mean stay per treatment, over all hospitals."""
