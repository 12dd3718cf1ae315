"""The most memory that was taken since a moment: of the process, or of every allocation."""

import tracemalloc
from contextlib import contextmanager
from pathlib import Path

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class Resident:
    """The process's own peak, as the kernel counts it: it costs nothing while code runs."""

    @contextmanager
    def running(self):
        yield

    def begin(self):
        CLEAR.write_text("5")  # the peak is what is taken now
        self.before = self._peak()

    def grown(self):
        return self._peak() - self.before

    def _peak(self):
        _, _, after = STATUS.read_text().partition("VmHWM:")
        return 1024 * int(after.split(maxsplit=1)[0])


class Traced:
    """Every allocation, touched or not: exact, and thrice as slow."""

    @contextmanager
    def running(self):
        tracemalloc.start()
        try:
            yield
        finally:
            tracemalloc.stop()

    def begin(self):
        tracemalloc.reset_peak()
        self.before = tracemalloc.get_traced_memory()[0]

    def grown(self):
        return tracemalloc.get_traced_memory()[1] - self.before


def peak_memory(exact):
    """Return what measures; the kernel's count where it has one, unless it must be exact."""
    return Traced() if exact or not CLEAR.exists() else Resident()
