"""How far two samples of one column are from each other, and how far two samples of one population would be.

Arrays in, numbers out. An "old" sample is the reference, a "new" one the window or version that is compared to it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.float64]

BINS = 10
MOST = 50  # values of a column of labels that have a bin of their own; the rest share one
SURE = 3.09  # the 99.9 % point of the normal distribution
EXPECTED = 5.0  # rows that a cell of a chi-squared test should expect on both sides (Cochran 1954)
CLOSE = 1e-15

# ── distances ────────────────────────────────────────────────────────────────────────────────────


def psi(old: Counts, new: Counts) -> float:
    """Return the population stability index of two arrays of counts over the same bins; 0 is no change.

    Σ (q - p) ln(q / p), with half a row added to every bin, so that an empty one does not make it infinite; bins
    empty on both sides are left out.

    >>> psi(np.array([5.0, 5.0]), np.array([5.0, 5.0]))
    0.0
    """
    used = (old + new) > 0
    p, q = _shares(old[used]), _shares(new[used])
    return float(((q - p) * np.log(q / p)).sum())


def _shares(counts: Counts) -> Floats:
    shares: Floats = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return shares


def ks(old: Floats, new: Floats) -> float:
    """Return the exact two-sample Kolmogorov-Smirnov statistic of sorted values: the largest gap between the two
    shares of values up to x, 0 to 1; 1 when only one side has values, 0 when neither has.
    """
    if not len(old) or not len(new):
        return 0.0 if len(old) == len(new) else 1.0
    places = np.concatenate([old, new])
    shares = [np.searchsorted(side, places, side="right") / len(side) for side in (old, new)]
    return float(np.abs(shares[0] - shares[1]).max())


def ks_and_wasserstein(old: Floats, new: Floats) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov statistic and the Wasserstein-1 distance of sorted finite values, none empty.

    The second is the area between the two shares of values up to x (Vallender 1974), in the unit of the values; it
    is not finite where their range is beyond 64 bits. One merge of the two sorted runs gives both.
    """
    both = np.concatenate([old, new])
    order = np.argsort(both, kind="stable")
    ordered = both[order]
    of_old = np.cumsum(order < len(old))
    gaps = np.abs(of_old / len(old) - (np.arange(1, len(both) + 1) - of_old) / len(new))[:-1]
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(ordered)
        return float(gaps[steps > 0].max(initial=0.0)), float((gaps * steps).sum())


def js(old: Counts, new: Counts) -> float:
    """Return the Jensen-Shannon distance of two arrays of counts over the same bins: the square root of the
    divergence in bits (Endres and Schindelin 2003), 0 to 1; 1 when only one side has counts, 0 when neither has.
    """
    if not old.sum() or not new.sum():
        return 0.0 if old.sum() == new.sum() else 1.0
    p, q = old / old.sum(), new / new.sum()
    middle = (p + q) / 2
    divergence = (_entropy(p, middle) + _entropy(q, middle)) / 2
    return min(1.0, math.sqrt(max(0.0, divergence)))


def _entropy(p: Floats, other: Floats) -> float:
    """The Kullback-Leibler divergence in bits."""
    used = p > 0
    return float((p[used] * np.log2(p[used] / other[used])).sum())


def chi2(old: Counts, new: Counts) -> float:
    """Return Pearson's chi-squared of the 2 × k table of counts, every column of it used; 0 if a side is empty.

    >>> chi2(np.array([10.0, 10.0]), np.array([15.0, 5.0]))  # doctest: +ELLIPSIS
    2.666...
    """
    rows, total = np.array([old.sum(), new.sum()]), old + new
    if not rows.all():
        return 0.0
    expected = np.outer(rows, total) / rows.sum()
    return float(((np.stack([old, new]) - expected) ** 2 / expected).sum())


# ── bins ─────────────────────────────────────────────────────────────────────────────────────────


def bins(old: Floats) -> tuple[Floats, Floats]:
    """Return the closed ends of bins at the deciles of sorted values; up to 10 different ones each have their own."""
    values = np.unique(old)
    if len(values) <= BINS:
        return values, values
    cuts = np.unique(np.quantile(old, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    return np.append(-np.inf, np.nextafter(cuts, np.inf)), np.append(cuts, np.inf)


def between(ordered: Floats, lows: Floats, highs: Floats) -> Counts:
    """Return how many of the sorted values lie in each closed interval, and, last, how many in none."""
    begin, end = (np.searchsorted(ordered, lows, side="left"), np.searchsorted(ordered, highs, side="right"))
    inside = (end - begin).astype(np.float64)
    return np.append(inside, len(ordered) - inside.sum())


def pooled(old: Counts, new: Counts) -> tuple[Counts, Counts]:
    """Return the counts with rare cells made one, so that chi-squared is valid: each left expects at least 5 rows.

    Judged by the counts of both sides together, so that neither is favoured. What is rare is one cell if that expects
    at least 1 row, else it joins the rarest of the others.
    """
    total = old + new
    smaller = min(old.sum(), new.sum()) / max(total.sum(), 1.0)
    kept = total * smaller >= EXPECTED
    cells = [np.append(side[kept], side[~kept].sum()) for side in (old, new)]
    rest = cells[0][-1] + cells[1][-1]
    if kept.any() and rest * smaller < 1:
        rarest = int(np.argmin(total[kept]))
        for side in cells:
            side[rarest] += side[-1]
        return cells[0][:-1], cells[1][:-1]
    return cells[0], cells[1]


# ── what chance does ─────────────────────────────────────────────────────────────────────────────


def noise(old: Counts, new: Counts) -> float:
    """Return the PSI that two samples of one population exceed once in a thousand times.

    PSI is about (1/n + 1/m) χ² with bins - 1 degrees of freedom (Yurdakul, Statistical Properties of Population
    Stability Index, 2018). Keeps small versions from crying wolf.
    """
    degrees = int(((old + new) > 0).sum()) - 1
    if degrees < 1 or not old.sum() or not new.sum():
        return math.inf
    return float((1 / old.sum() + 1 / new.sum()) * chi2_point(degrees, SURE))


def chi2_point(degrees: int, normal: float) -> float:
    """Return the χ² point of the upper tail that the standard normal has beyond `normal` (Wilson & Hilferty 1931)."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + normal * math.sqrt(spread)) ** 3)


@lru_cache(maxsize=64)
def normal_point(level: float) -> float:
    """Return the point of the standard normal distribution beyond which `level` of it lies."""
    return -NormalDist().inv_cdf(level)


def ks_scale(effective: float) -> float:
    """Return what a KS distance is multiplied by to have Kolmogorov's distribution, for so many effective rows.

    The limit's √e with the terms that make it hold for few rows (Stephens 1970); e = nm / (n + m) for two samples.
    """
    root = math.sqrt(effective)
    return root + 0.12 + 0.11 / root


def ks_p_value(distance: float, old: int, new: int) -> float:
    """Return the asymptotic p-value of a two-sample KS distance of so many values; ties make it too large."""
    return kolmogorov(distance * ks_scale(old * new / (old + new)))


def kolmogorov(x: float) -> float:
    """Return how likely Kolmogorov's distribution (1933) is beyond x, by the series that converges faster there.

    >>> round(kolmogorov(1.3581), 4)
    0.05
    """
    if x < 0.04:  # the first term of the series is below 1e-300
        return 1.0
    if x < 1:
        odd = np.arange(1, 20, 2)
        below = math.sqrt(2 * math.pi) / x * float(np.exp(-((odd * math.pi / x) ** 2) / 8).sum())
        return min(1.0, max(0.0, 1 - below))
    number = np.arange(1, 9)
    return 2 * float((-((-1.0) ** number) * np.exp(-2 * (number * x) ** 2)).sum())


def kolmogorov_point(level: float) -> float:
    """Return where Kolmogorov's distribution has `level` beyond it, by its first term: right to 0.1 % up to 0.25.

    >>> round(kolmogorov_point(0.05), 4)
    1.3581
    """
    return math.sqrt(math.log(2 / level) / 2)


def chi2_p_value(value: float, degrees: int) -> float:
    """Return how likely χ² with so many degrees of freedom is beyond a value: 1 - P(k/2, x/2).

    The regularised incomplete gamma function by its series below a + 1 and by its continued fraction, with Lentz's
    method, above (Abramowitz & Stegun 6.5.29 and 6.5.31). 1 without degrees of freedom.

    >>> round(chi2_p_value(3.841459, 1), 6)
    0.05
    """
    if degrees < 1 or value <= 0:
        return 1.0
    a, x = degrees / 2, value / 2
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1 - front * _gamma_series(a, x) if x < a + 1 else front * _gamma_fraction(a, x)


def _gamma_series(a: float, x: float) -> float:
    term = total = 1 / a
    while term > total * CLOSE:
        a += 1
        term *= x / a
        total += term
    return total


def _gamma_fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c, d = math.inf, 1 / b
    total, change, step = d, 0.0, 0
    while abs(change - 1) > CLOSE and step < 10_000:
        step += 1
        top = -step * (step - a)
        b += 2
        d = 1 / (top * d + b)
        c = b + top / c
        change = c * d
        total *= change
    return total
