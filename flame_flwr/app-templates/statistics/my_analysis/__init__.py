"""Mean, variance and histogram of a measurement, over all hospitals."""
