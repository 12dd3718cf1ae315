"""The meta-analysis as text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedstats.meta import Combined, normal_interval, normal_p, weights
from fedstats.survival import CoxFit

__all__ = ["write_report"]

_NOTES = """\
log HR  log hazard ratio: above 0 the event comes sooner; each adjusted for the other covariates
SE      its standard error; hospitals are weighted by 1 / SE squared (fixed effect)
p       of its being 0, two-sided
Q       Cochran's test of whether the hospitals estimate one number, p(Q) its p-value (Cochran
        1954; DerSimonian and Laird 1986)
I2      share of the estimates' variation beyond chance (Higgins and Thompson 2002)"""


def write_report(hospitals: Mapping[str, CoxFit], combined: Combined) -> str:
    """Return the combined estimates, then every hospital's own, as a text with tables.

    Parameters
    ----------
    hospitals : mapping of str to CoxFit
        By node.
    combined : Combined
        Of the same covariates, in the same order.
    """
    fits = list(hospitals.values())
    covariates = fits[0]["covariates"]
    patients, events = (sum(fit[key] for fit in fits) for key in ("patients", "events"))
    title = f"Cox regressions of {len(fits)} hospitals, {patients} patients, {events} events"
    width = max(len("covariate"), *map(len, covariates))
    head = f"{'covariate':{width}}  log HR     SE   95 % interval       HR       p"
    lines = [title, "=" * len(title), "", "Combined", "--------"]
    lines.append(f"{head}      Q  p(Q)    I2")
    for i, name in enumerate(covariates):
        estimate = _estimate(*(combined[key][i] for key in ("estimate", "error", "low", "high")))
        lines.append(
            f"{name:{width}}  {estimate}  {_p(combined['p'][i])}  {combined['q'][i]:5.2f}"
            f" {_p(combined['q_p'][i])} {_percent(combined['i2'][i])}"
        )
    lines += [f"Q has {combined['df']} degrees of freedom.", ""]

    weight = weights(*(np.stack([fit[key] for fit in fits]) for key in ("log_hr", "error")))
    share = weight / weight.sum(axis=0)
    for node, (number, fit) in zip(hospitals, enumerate(fits), strict=True):
        name = f"{node}: {fit['patients']} patients, {fit['events']} events"
        lines += [name, "-" * len(name), f"{head}  weight"]
        low, high = normal_interval(fit["log_hr"], fit["error"])
        p = normal_p(fit["log_hr"], fit["error"])
        for i, covariate in enumerate(covariates):
            estimate = _estimate(fit["log_hr"][i], fit["error"][i], low[i], high[i])
            lines.append(
                f"{covariate:{width}}  {estimate}  {_p(p[i])}  {_percent(share[number, i])}"
            )
        lines.append("")
    return "\n".join([*lines, _NOTES, ""])


def _estimate(estimate: float, error: float, low: float, high: float) -> str:
    interval = f"{low:+.3f} to {high:+.3f}"
    return f"{estimate:+.3f}  {error:.3f}  {interval:16}  {np.exp(estimate):5.2f}"


def _p(p: float) -> str:
    if np.isnan(p):
        return "     -"
    return "<0.001" if p < 0.001 else f"{p:6.3f}"


def _percent(share: float) -> str:
    return "    -" if np.isnan(share) else f"{share:5.0%}"
