"""When somebody is asked again."""

import pytest

from flame_flwr import polling
from flame_flwr.polling import Polling


class Clock:
    """Time that passes only where somebody sleeps, or is said to work."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(polling, "time", clock)
    monkeypatch.setattr(polling, "_LONGEST_HEAD_START", 0.5)  # the other unit tests have none
    return clock


def test_waits_grow_and_start_over(clock):
    waits = Polling(0.01, 0.05)
    for _ in range(8):
        waits.sleep(10)
    assert clock.slept[0] == 0.01
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == 0.05
    waits.note_news()
    for at_most, at_least, expected in [
        (10, 0, 0.01),
        (0.001, 0, 0.001),
        (-5, 0, 0),
        (10, 0.3, 0.3),
    ]:
        waits.sleep(at_most, at_least)
        assert clock.slept[-1] == expected


def questions(clock, waits, seconds, cost=0.0):
    """Wait for what is there after so many seconds; return the times of the questions."""
    began, asked = clock.now, []
    waits.begin()
    while True:
        asked.append(clock.now - began)
        clock.now += cost
        if asked[-1] >= seconds:
            break
        waits.sleep()
    waits.note_news()
    return asked


@pytest.mark.parametrize("seconds", [0.05, 0.3, 2.0])
def test_what_takes_as_long_again_is_asked_seldom(clock, seconds):
    waits = Polling()
    first = questions(clock, waits, seconds)
    for _ in range(3):
        again = questions(clock, waits, seconds)
    assert first[0] == 0.0
    assert again[0] == pytest.approx(min(seconds, 0.5), rel=0.35)
    assert len(again) < len(first)
    assert len(again) <= 3 or seconds > 1
    assert again[-1] <= max(1.25 * seconds, seconds + 0.5)


def test_what_comes_sooner_waits_half_a_second(clock):
    waits = Polling()
    questions(clock, waits, 3600)
    assert questions(clock, waits, 0.0) == [0.5]
    assert questions(clock, waits, 0.0) == [0.375]


@pytest.mark.parametrize("cost", [0.07, 0.2])
def test_after_a_slow_one_the_time_shrinks_again(clock, cost):
    """However long a question takes."""
    waits = Polling()
    questions(clock, waits, 3.0, cost)
    for _ in range(6):
        [*_, last] = questions(clock, waits, 0.15, cost)
    assert last < 1.3 * 0.15 + cost


def test_nobody_waits_longer_than_there_is_time(clock):
    waits = Polling()
    questions(clock, waits, 3600)
    clock.slept.clear()
    waits.begin(at_most=0.1)
    waits.begin(at_most=-1)
    assert clock.slept == [0.1]
