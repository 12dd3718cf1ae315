"""Noise filters against the distributions they name, and the privacy they really give.

Every statistical test has a false-alarm rate of 1e-6: of a million runs of a correct filter one
fails. Noise comes from the system's entropy, so there is no seed to fix. Each kind of noise, and
each of its laws, has a test in ``make test``; more cases of it are ``make test-all``'s.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from flame_flwr.errors import ModelError
from flame_flwr.privacy import Clip, GaussianNoise, SparseVector
from flame_flwr.privacy import budget as budget_module
from flame_flwr.privacy.noise import Noise

FALSE_ALARM = 1e-6
CALLS = 4000


def more(*values):
    """Make a case of a test that ``make test`` runs with another one."""
    return pytest.param(*values, marks=pytest.mark.exhaustive)


# ---- the noise itself ------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [Noise(), more(Noise(5, "a|1|0"))], ids=["system", "seeded"])
def test_random_numbers_have_the_distributions_they_name(noise):
    count = 200_001
    uniform, laplace = noise.uniform(count), noise.laplace(3.0, count)
    gaussian = noise.gaussian(0.5, count)
    assert ((uniform > 0) & (uniform < 1)).all()
    assert stats.kstest(uniform, stats.uniform.cdf).pvalue > FALSE_ALARM
    assert stats.kstest(laplace, stats.laplace(scale=3).cdf).pvalue > FALSE_ALARM
    assert stats.kstest(gaussian, stats.norm(scale=0.5).cdf).pvalue > FALSE_ALARM
    half = count // 2  # Box and Muller make them in pairs: a number and the one half way on
    assert stats.spearmanr(gaussian[:half], gaussian[half : 2 * half]).pvalue > FALSE_ALARM
    assert stats.spearmanr(gaussian[:-1], gaussian[1:]).pvalue > FALSE_ALARM


def test_many_numbers_are_made_in_blocks_that_differ():
    numbers = Noise().uniform((1 << 20) + 1000)
    assert not np.array_equal(numbers[:1000], numbers[1 << 20 :])
    assert len(np.unique(numbers)) > 0.99 * len(numbers)


def test_seed_and_place_determine_the_stream():
    streams = {
        (seed, place): tuple(Noise(seed, place).gaussian(1.0, 5))
        for seed, place in itertools.product((1, 2), ("a|1|0", "a|2|0", "b|1|0"))
    }
    assert len(set(streams.values())) == 6
    assert all(streams[key] == tuple(Noise(*key).gaussian(1.0, 5)) for key in streams)
    assert not Noise().drawn


# ---- GaussianNoise ---------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "multiplier"), [(0.5, 4.0), more(1.0, 1.0), more(20.0, 0.1)])
def test_gaussian_noise_surrounds_the_bounded_change(norm, multiplier):
    update = np.linspace(-3, 3, 20_000)
    noised = GaussianNoise(norm, multiplier).change(update, Noise())
    length = math.sqrt(math.fsum(x * x for x in update))
    bounded = [x * min(1.0, norm / length) for x in update]
    expected = stats.norm(scale=norm * multiplier)
    assert stats.kstest(noised - bounded, expected.cdf).pvalue > FALSE_ALARM
    wrong = stats.norm(scale=1.1 * norm * multiplier)
    assert stats.kstest(noised - bounded, wrong.cdf).pvalue < FALSE_ALARM


@pytest.mark.exhaustive
def test_gaussian_noise_keeps_its_budget_at_worst():
    """Two opposite changes of the full norm: what differs more is shortened to these."""
    filter_ = GaussianNoise(1.0, 2.0, delta=1e-3)
    epsilon = budget_module.spent([(filter_.mechanism(), 1)]).epsilon
    draws = np.array([filter_.change(np.array([x]), Noise())[0] for x in [1.0, -1.0] * CALLS])
    for cut in np.linspace(-1, 6, 15):
        told = [draws[start::2] > cut for start in (0, 1)]
        check_ratio(told[0], told[1], epsilon, delta=1e-3)


# ---- SparseVector ----------------------------------------------------------------------------


def sparse(**more):
    about = {"bound": 1.0, "threshold": 0.5, "epsilon_select": 2.0, "epsilon_values": 3.0}
    return SparseVector(**{"fraction": 1.0, **about, **more})


def scales(filter_, n):
    """The scales of algorithm 7, from the paper, with the paper's division of epsilon."""
    c = math.ceil(filter_.fraction * n)
    ratio = (2 * c) ** (2 / 3)
    epsilon_1 = filter_.epsilon_select / (1 + ratio)
    epsilon_2 = filter_.epsilon_select - epsilon_1
    sensitivity, of_values = filter_.bound, 2 * filter_.bound
    return (
        sensitivity / epsilon_1,
        2 * c * sensitivity / epsilon_2,
        c * of_values / filter_.epsilon_values,
    )


@pytest.mark.parametrize("change", [0.4, more(-1.0), more(0.0), more(7.0)])
def test_a_value_is_chosen_as_the_formula_says(change):
    filter_ = sparse()
    rho, nu, _ = scales(filter_, 1)
    size = min(abs(change), filter_.bound)
    chosen = integrate.quad(
        lambda r: (
            stats.laplace.pdf(r, scale=rho)
            * stats.laplace.sf(filter_.threshold + r - size, scale=nu)
        ),
        -60 * rho,
        60 * rho,
        points=[0, size - filter_.threshold],
        limit=200,
    )[0]
    found = sum(filter_.change(np.array([change]), Noise())[0] != 0 for _ in range(CALLS))
    assert stats.binomtest(found, CALLS, chosen).pvalue > FALSE_ALARM


@pytest.mark.exhaustive
def test_one_of_several_is_chosen_by_the_formula():
    update = np.array([1.0, -0.8, 0.0])
    filter_ = sparse(fraction=1 / 3, epsilon_select=20.0)
    rho, nu, _ = scales(filter_, 3)

    def first(i, r):
        above = stats.laplace.sf(filter_.threshold + r - np.abs(update), scale=nu)
        orders = itertools.permutations(range(3))
        return sum(
            math.prod(1 - above[j] for j in order[: order.index(i)]) * above[i] for order in orders
        ) / math.factorial(3)

    places = np.linspace(-20 * rho, 20 * rho, 2001)
    weights = stats.laplace.pdf(places, scale=rho)
    expected = [
        integrate.trapezoid([first(i, r) * w for r, w in zip(places, weights, strict=True)], places)
        for i in range(3)
    ]
    expected.append(1 - sum(expected))
    counts = [0, 0, 0, 0]
    for _ in range(CALLS):
        told = np.flatnonzero(filter_.change(update, Noise()))
        assert len(told) <= 1
        counts[told[0] if len(told) else 3] += 1
    assert stats.chisquare(counts, CALLS * np.array(expected)).pvalue > FALSE_ALARM


@pytest.mark.parametrize("change", [-0.9, more(0.3), more(5.0)])
def test_a_chosen_value_has_bounded_laplace_noise(change):
    filter_ = sparse(epsilon_select=50.0, threshold=1e-9, epsilon_values=4.0)
    _, _, scale = scales(filter_, 1)
    released = np.array([filter_.change(np.array([change]), Noise())[0] for _ in range(CALLS)])
    released = released[released != 0]
    assert np.abs(released).max() <= filter_.bound
    true = stats.laplace(loc=np.clip(change, -1, 1), scale=scale)
    for end, chance in ((1.0, true.sf(1.0)), (-1.0, true.cdf(-1.0))):
        found = int((released == end).sum())
        assert stats.binomtest(found, len(released), chance).pvalue > FALSE_ALARM
    inside = released[np.abs(released) < 1]
    below = true.cdf(-1.0)
    assert (
        stats.kstest(inside, lambda x: (true.cdf(x) - below) / (true.cdf(1) - below)).pvalue
        > FALSE_ALARM
    )


@pytest.mark.parametrize("fraction", [0.1, more(1.0), more(0.01), more(0.5)])
def test_as_many_leave_as_paid_for_none_exact(fraction):
    rng = np.random.default_rng(2)
    update = rng.uniform(0.5, 0.9, size=300) * rng.choice([-1, 1], size=300)
    filter_ = sparse(fraction=fraction, threshold=1e-6, epsilon_select=1e5, epsilon_values=1e5)
    for _ in range(20):
        released = filter_.change(update.copy(), Noise())
        told = np.flatnonzero(released)
        assert 0 < len(told) <= math.ceil(fraction * 300)
        assert not (released[told] == update[told]).any()


def test_no_place_is_preferred_among_equal_values():
    filter_ = sparse(fraction=0.1, threshold=0.1, epsilon_select=1e3)
    counts = np.zeros(10)
    for _ in range(CALLS):
        counts += filter_.change(np.full(10, 0.8), Noise()) != 0
    assert stats.chisquare(counts).pvalue > FALSE_ALARM


def check_ratio(one, other, epsilon, delta=0.0):
    """Check P(one) <= exp(epsilon) P(other) + delta, as far as the draws can tell."""
    rate = FALSE_ALARM / 200  # for up to 200 events in a test
    k, m = int(one.sum()), int(other.sum())
    lower = stats.beta.ppf(rate, k, len(one) - k + 1) if k else 0.0
    upper = stats.beta.isf(rate, m + 1, len(other) - m) if m < len(other) else 1.0
    assert lower <= math.exp(epsilon) * upper + delta


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1.0], [-1.0]),
        more([1.0], [0.0]),
        more([1.0, 0.0, 0.0], [-1.0, 1.0, 1.0]),
        more([0.0, 0.0, 0.0], [1.0, 1.0, 1.0]),
    ],
)
def test_two_data_sets_differ_within_the_budget(one, other):
    filter_ = sparse(fraction=1 / 3, epsilon_select=0.5, epsilon_values=1.0)
    draws = [
        np.array([filter_.change(np.array(data), Noise()) for _ in range(2 * CALLS)])
        for data in (one, other)
    ]
    for place in range(len(one)):
        column = [drawn[:, place] for drawn in draws]
        for event in (
            *(lambda x, cut=cut: x > cut for cut in np.linspace(-1, 0.99, 9)),
            *(lambda x, cut=cut: x < cut for cut in np.linspace(-0.99, 1, 9)),
            lambda x: x == 0,
        ):
            told = [event(x) for x in column]
            check_ratio(told[0], told[1], 1.5)
            check_ratio(told[1], told[0], 1.5)


# ---- the budget ------------------------------------------------------------------------------


def balle_wang(multiplier, releases, delta):
    """Epsilon of Gaussian releases: Balle and Wang (2018), theorem 8, solved by bisection."""
    mu = math.sqrt(releases) / multiplier

    def delta_of(epsilon):
        other = stats.norm.logcdf(-mu / 2 - epsilon / mu) + epsilon
        return stats.norm.cdf(mu / 2 - epsilon / mu) - math.exp(other)

    low, high = 0.0, mu * mu + 20 * mu
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(middle) > delta else (low, middle)
    return high


EVERYDAY = [(1.0, 12, 1e-5), (100.0, 1, 1e-5)]
ALL = itertools.product((0.1, 1.0, 4.0, 100.0), (1, 12, 500), (1e-5, 1e-9))


@pytest.mark.parametrize(
    ("multiplier", "rounds", "delta"),
    [*EVERYDAY, *(more(*case) for case in ALL if case not in EVERYDAY)],
)
def test_rounds_of_gaussian_noise_compose_exactly(multiplier, rounds, delta):
    mechanism = GaussianNoise(3.0, multiplier, delta=delta).mechanism()
    spent = budget_module.spent([(mechanism, rounds)])
    # Noise of z norms, and two data sets that differ by up to two norms.
    exact = balle_wang(multiplier / 2, rounds, delta)
    assert spent.delta == delta
    assert exact - 1e-6 <= spent.epsilon <= exact * 1.001 + 1e-3


def test_budgets_of_several_mechanisms_add_up():
    gaussian = GaussianNoise(1.0, 5.0, delta=1e-6).mechanism()
    other = GaussianNoise(1.0, 5.0, delta=1e-5).mechanism()
    pure = sparse(epsilon_select=0.1, epsilon_values=0.2).mechanism()
    alone = budget_module.spent([(gaussian, 10)]).epsilon
    assert budget_module.spent([(pure, 4)]) == budget_module.Budget(pytest.approx(1.2), 0.0)
    both = budget_module.spent([(gaussian, 4), (pure, 4), (gaussian, 6)])
    assert both == budget_module.Budget(pytest.approx(alone + 1.2), 1e-6)
    mixed = budget_module.spent([(gaussian, 4), (other, 6)])
    assert mixed == budget_module.Budget(pytest.approx(alone), 1e-6)


def test_seeded_or_idle_filters_have_no_budget():
    assert GaussianNoise(1.0, 1.0, seed=0).mechanism() is None
    assert sparse(seed=0).mechanism() is None
    assert budget_module.spent([(GaussianNoise(1.0, 1.0).mechanism(), 0)]).epsilon == 0.0


def test_only_a_mechanism_is_read_as_one():
    for made in (GaussianNoise(1.0, 1.0).mechanism(), sparse().mechanism()):
        assert budget_module.Mechanism.from_json(made.to_json()) == made
    good = {"kind": "pure", "value": 1.0, "delta": 0.0}
    for wrong in (
        None,
        "pure",
        {},
        {**good, "kind": "best"},
        {**good, "value": "1"},
        {**good, "value": 0},
        {**good, "value": 1e-300},
        {**good, "value": math.nan},
        {**good, "value": math.inf},
        {**good, "delta": 1},
        {**good, "delta": None},
    ):
        assert budget_module.Mechanism.from_json(wrong) is None


def test_noise_needs_dp_accounting_on_the_server(monkeypatch):
    monkeypatch.setattr(budget_module, "find_spec", lambda name: None)
    for each in (GaussianNoise(1.0, 1.0), sparse()):
        with pytest.raises(ModelError, match=r"pip install 'flame-flwr\[dp\]'"):
            budget_module.can_account([Clip(1.0), each])
    budget_module.can_account([Clip(1.0), sparse(seed=1)])
    mechanism = budget_module.Mechanism("gaussian", 1.0, 1e-5)
    assert budget_module.spent([(mechanism, 3)]) == budget_module.Budget(None, 1e-5)
