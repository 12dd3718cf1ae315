"""How rounds are carried out: over Flower's Grid, or in this process."""
