"""One classifier for four hospitals, scored at every one of them."""
