"""A round on the grid, unmasked, and the fractions that it is compared with."""

from fractions import Fraction

from hypothesis import strategies as st

from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.privacy.secure.declaration import SecureDeclaration
from flame_flwr.privacy.secure.grid_round import GridRound


def merged(declared, answers, order=None, known=None):
    tree = declare(declared)
    nodes = [f"node-{place}" for place in range(len(answers))]
    added = GridRound(1, nodes, tree, SecureDeclaration.of(tree), known)
    for place in order or range(len(answers)):
        added.add(nodes[place], answers[place])
    return added.result()


def on_grid(value, exponent):
    return Fraction(round(Fraction(value) * 2**exponent), 2**exponent)


FLOATS = st.floats(-1e6, 1e6)
