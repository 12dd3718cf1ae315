"""The conformance kit: what would break an analysis later, found on a little data now.

For a user's own tests (:func:`check_analysis`) and for ``flame-flwr check``. It says nothing of
whether the numbers are right: that is what the tests beside it are for.
"""

from flame_flwr.testing.findings import CHECKS, ConformanceError, ConformanceWarning, Finding
from flame_flwr.testing.kit import check_analysis

__all__ = ["CHECKS", "ConformanceError", "ConformanceWarning", "Finding", "check_analysis"]
