"""The analysis once more: a plain loop without the framework, the example's code and lifelines.

The Cox regression maximises the partial likelihood by Newton's method, with Efron's correction
for ties: Therneau and Grambsch (2000), Modeling Survival Data, section 3.3.
"""

from io import BytesIO

import numpy as np
import pandas as pd


def efron(x, time, event):
    """Return a Cox regression's coefficients and standard errors."""
    x = x - x.mean(axis=0)
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        risk = np.exp(x @ beta)
        gradient = np.zeros_like(beta)
        information = np.zeros((len(beta), len(beta)))
        for moment in np.unique(time[event == 1]):
            dying = (time == moment) & (event == 1)
            at_risk = time >= moment
            deaths = dying.sum()
            for k in range(deaths):
                weight = risk * (at_risk - k / deaths * dying)
                mean = weight @ x / weight.sum()
                centred = x - mean
                gradient += x[dying].mean(axis=0) - mean
                information += (weight[:, None] * centred).T @ centred / weight.sum()
        step = np.linalg.solve(information, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-12:
            return beta, np.sqrt(np.diag(np.linalg.inv(information)))
    raise AssertionError("Newton's method does not converge")


def read(content, duration="week", event="arrest", covariates=("fin", "age", "wexp", "prio")):
    """Return covariates, times and events of one file."""
    frame = pd.read_csv(BytesIO(content))
    columns = frame[list(covariates)].to_numpy(float)
    return columns, frame[duration].to_numpy(float), frame[event].to_numpy(float)


def reference_run(contents):
    """Return the combined log hazard ratios and their standard errors, by a plain loop."""
    top, bottom = 0.0, 0.0
    for content in contents:
        beta, error = efron(*read(content))
        top = top + beta / error**2
        bottom = bottom + 1 / error**2
    return top / bottom, bottom**-0.5
