"""``flame.star`` in a process that a script has started: the API of this framework."""

import sys

from flame_flwr import star

sys.modules[__name__] = star
