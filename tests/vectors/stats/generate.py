#!/usr/bin/env python3
"""Writes the vectors of this folder: what SciPy and statsmodels say, for test_statistics.c.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scipy==1.17.1 statsmodels==0.15.0 mpmath==1.4.1
    /tmp/venv/bin/python generate.py

The versions used are written into each file. Seeds are fixed, so the same versions write the same
bytes. Where a library has no such function (confidence sequences, ratios) or would lose digits on
the way (means of a billion units), the formula is computed in 50 digits by mpmath, and the
distributions are still SciPy's.

Sums of an arm are decimal strings, in 10^-6 and 10^-12.
"""
import json
import math
import pathlib
import random
import warnings

import mpmath
import numpy
import scipy
import scipy.special
import scipy.stats
import statsmodels
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (confint_proportions_2indep, proportion_confint,
                                          proportions_ztest)
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

HERE = pathlib.Path(__file__).parent
MILLION = 10**6
ALPHAS = [0.05, 0.01, 0.1, 0.001, 1e-6]
TAILS = {"both": "two-sided", "greater": "larger", "less": "smaller"}
SCIPY_TAILS = {"both": "two-sided", "greater": "greater", "less": "less"}
mpmath.mp.dps = 50


def write(name, **cases):
    made = {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__,
            "mpmath": mpmath.__version__}
    lines = []
    for group, rows in cases.items():
        body = ",\n".join("  " + json.dumps(row, default=float) for row in rows)
        lines.append(f'"{group}": [\n{body}\n]')
    (HERE / f"{name}.json").write_text(
        '{"made_with": ' + json.dumps(made) + ",\n" + ",\n".join(lines) + "}\n")


def end(x):
    """An open end of an interval is null."""
    return None if math.isinf(x) else float(x)


# --- distributions ------------------------------------------------------------------------------


def row(value, *args):
    """Nothing for results that doubles hold with fewer digits, or not at all."""
    value = float(value)
    return [list(args), value] if 1e-300 < abs(value) or value == 0 else None


def rows(function, arguments):
    return [one for one in (row(function(*args), *args) for args in arguments) if one]


def binomial(kind, k, n, p):
    """SciPy's, but for few hits in 50 digits: at 10^9 trials SciPy keeps only 7 there."""
    binom = scipy.stats.binom
    value = {"at": binom.pmf, "lower": binom.cdf, "upper": lambda *of: binom.sf(k - 1, n, p)}[kind](k, n, p)
    if not 0 <= k <= min(n, 60):
        return value
    chances = [mpmath.binomial(n, i) * mpmath.mpf(p) ** i * (1 - mpmath.mpf(p)) ** (n - i)
               for i in range(k + 1)]
    exact = {"at": chances[k], "lower": sum(chances), "upper": 1 - sum(chances[:k])}[kind]
    assert abs(value - exact) <= 1e-6 * exact, (kind, k, n, p, value, exact)
    return exact


def distributions():
    r = random.Random(1)
    beta, gamma, student, quantile, trials = [], [], [], [], []
    for _ in range(120):
        a, b = 10 ** r.uniform(-1, 6), 10 ** r.uniform(-1, 6)
        mean, deviation = a / (a + b), math.sqrt(a * b / (a + b + 1)) / (a + b)
        x = min(max(mean + deviation * r.uniform(-8, 4), mean * 1e-3), 1 - 1e-6)
        beta.append((a, b, x))
    beta += [(1, 1, 0.25), (0.5, 0.5, 1e-300), (1e9, 1e9, 0.49999), (2, 3, 0.0), (2, 3, 1.0)]
    for _ in range(80):
        a = 10 ** r.uniform(-1, 4)
        gamma.append((a, a * 10 ** r.uniform(-1, 0.5)))
    gamma += [(0.5, 0.0), (0.5, 690.0), (1, 690.0), (7.5, 700.0)]
    for _ in range(120):
        student.append((r.choice([r.uniform(-3, 6), 10 ** r.uniform(-3, 1.5)]), 10 ** r.uniform(0, 9)))
        quantile.append((r.choice([0.025, 0.005, 0.05, 10 ** r.uniform(-12, -0.4)]), 10 ** r.uniform(0, 9)))
    student += [(0.0, 5.0), (1e5, 2.0), (-1.0, 1.0), (37.0, 1e9), (1e150, 2.0)]
    quantile += [(1e-100, 1.0), (1e-100, 2.0), (1e-300, 1e9), (0.4, 1.0)]
    for n in (1, 2, 10, 100, 10**4, 10**6, 10**9):
        for p in (0.5, 0.1, 0.999, 3 / n if n > 3 else 0.3):
            spread = math.sqrt(n * p * (1 - p))
            for z in (-20, -3, 0, 1, 5):
                k = min(max(int(n * p + z * spread), 0), n)
                trials.append((k, n, p))
    trials += [(-1, 5, 0.5), (6, 5, 0.5), (0, 5, 0.0), (5, 5, 1.0), (2, 5, 0.0), (0, 0, 0.5)]
    precise = {"beta": [], "gamma": []}
    for _ in range(60):
        a, b, x = 10 ** r.uniform(-1, 3), 10 ** r.uniform(-1, 3), r.choice([r.random(), 10 ** r.uniform(-8, -0.1)])
        value = mpmath.betainc(a, b, 0, x, regularized=True)
        precise["beta"].append(row(value, a, b, x))
        a = 10 ** r.uniform(-1, 3)
        x = a * 10 ** r.uniform(-1, 1)
        precise["gamma"].append(row(mpmath.gammainc(a, x, mpmath.inf, regularized=True), a, x))
    z = [r.uniform(-8, 8) for _ in range(40)] + [0.0, 37.0, -37.0, 10.0]
    tails = [r.uniform(0.001, 0.45) for _ in range(40)]
    tails += [10 ** r.uniform(-300, -1) for _ in range(40)] + [0.025, 0.005, 1e-300]
    write("distributions",
          beta=rows(scipy.special.betainc, beta),
          gamma=rows(scipy.special.gammaincc, gamma),
          beta_precise=[one for one in precise["beta"] if one and one[1] > 0],
          gamma_precise=[one for one in precise["gamma"] if one and one[1] > 0],
          normal_upper=rows(scipy.stats.norm.sf, [(x,) for x in z]),
          normal_quantile=rows(scipy.stats.norm.isf, [(x,) for x in tails]),
          student_upper=rows(scipy.stats.t.sf, student),
          student_quantile=rows(scipy.stats.t.isf, quantile),
          chi2_upper=rows(scipy.stats.chi2.sf, [(10 ** r.uniform(-3, 3), r.randint(1, 30)) for _ in range(60)]),
          binomial_at=rows(lambda *of: binomial("at", *of), trials),
          binomial_lower=rows(lambda *of: binomial("lower", *of), trials),
          binomial_upper=rows(lambda *of: binomial("upper", *of), trials))


# --- arms ---------------------------------------------------------------------------------------


def sums(xs, ys=None):
    ys = ys if ys is not None else [0] * len(xs)
    return {"n": len(xs), "x": str(sum(xs)), "y": str(sum(ys)), "xx": str(sum(x * x for x in xs)),
            "xy": str(sum(x * y for x, y in zip(xs, ys))), "yy": str(sum(y * y for y in ys))}


def two_points(n, low, high, n_high):
    """The sums of n units, n_high of them at `high` and the others at `low`."""
    n_low = n - n_high
    return {"n": n, "x": str(n_low * low + n_high * high), "y": "0",
            "xx": str(n_low * low**2 + n_high * high**2), "xy": "0", "yy": "0"}


def exact_mean(arm):
    n, x, xx = arm["n"], int(arm["x"]), int(arm["xx"])
    mean = mpmath.mpf(x) / n / MILLION
    return mean, mpmath.mpf(n * xx - x * x) / n / (n - 1) / n / MILLION**2


def relative(a, var_a, b, var_b, critical):
    """(b - a) / |a| and its interval."""
    a, b = mpmath.mpf(a), mpmath.mpf(b)
    margin = critical * mpmath.sqrt(var_b / a**2 + var_a * b**2 / a**4)
    uplift = (b - a) / abs(a)
    return [float(uplift), float(uplift - margin), float(uplift + margin)]


def welch_samples(r):
    cases = []
    shapes = [lambda: r.gauss(10, 3), lambda: r.expovariate(0.2), lambda: r.choice([0, 0, 0, 129.9]),
              lambda: r.gauss(-5, 0.01), lambda: 10**6 + r.gauss(0, 0.5)]
    for i in range(40):
        shape, lift = r.choice(shapes), r.choice([0, 0, 0.1, 1])
        xs = [round(shape() * MILLION) for _ in range(r.choice([2, 3, 10, 60, 400]))]
        ys = [round((shape() + lift) * MILLION) for _ in range(r.choice([2, 3, 10, 60, 400]))]
        if len(set(xs)) == 1 or len(set(ys)) == 1:
            continue
        alpha = r.choice(ALPHAS)
        # Moved together, which changes nothing on paper: the libraries would lose the digits that
        # differ.
        a, b = (numpy.array([v - xs[0] for v in vs], float) / MILLION for vs in (xs, ys))
        compare = CompareMeans(DescrStatsW(b), DescrStatsW(a))
        for tail, name in TAILS.items():
            test = scipy.stats.ttest_ind(b, a, equal_var=False, alternative=SCIPY_TAILS[tail])
            low, high = compare.tconfint_diff(alpha, usevar="unequal", alternative=name)
            one = {"a": sums(xs), "b": sums(ys), "tail": tail, "alpha": alpha,
                   "statistic": test.statistic, "df": test.df, "p": test.pvalue,
                   "interval": [end(low), end(high)]}
            if tail == "both" and abs(sum(xs)) > 1000 * len(xs):
                critical = scipy.stats.t.isf(alpha / 2, test.df)
                one["relative"] = relative(*exact_mean(sums(xs)), *exact_mean(sums(ys)), critical)
            cases.append(one)
    return cases


def welch_large():
    """Where doubles on the way would lose it: a billion units, means that nearly agree."""
    n, cases = 10**9, []
    for a, b in [
            (two_points(n, 0, MILLION, 100_000_000), two_points(n, 0, MILLION, 100_060_000)),
            (two_points(n, 10**12, 10**12 + 1, n // 2), two_points(n, 10**12, 10**12 + 1, n // 2 + 90_000)),
            (two_points(n, 0, MILLION, 1), two_points(n, 0, MILLION, 12)),
            (two_points(n, 0, MILLION, n - 1), two_points(n, 0, MILLION, n - 30)),
            (two_points(n, -10**12, 10**12, n // 2), two_points(7, -10**12, 10**12, 6)),
            (two_points(1000, 0, 5, 999), two_points(n, 5, 6, 3)),
            (two_points(n, 5, 6, n - 3), two_points(n, 5, 6, n - 9)),
            (two_points(10**6, 0, MILLION, 100_000), two_points(10**6, 0, MILLION, 116_000)),
    ]:
        (mean_a, var_a), (mean_b, var_b) = exact_mean(a), exact_mean(b)
        variance = var_a + var_b
        df = variance**2 / (var_a**2 / (a["n"] - 1) + var_b**2 / (b["n"] - 1))
        t = (mean_b - mean_a) / mpmath.sqrt(variance)
        margin = scipy.stats.t.isf(0.025, float(df)) * mpmath.sqrt(variance)
        cases.append({"a": a, "b": b, "tail": "both", "alpha": 0.05, "statistic": t, "df": df,
                      "p": 2 * scipy.stats.t.sf(abs(float(t)), float(df)),
                      "interval": [float(mean_b - mean_a - margin), float(mean_b - mean_a + margin)]})
    return cases


def one_sided(interval, tail):
    return [None if tail == "less" else float(interval[0]),
            None if tail == "greater" else float(interval[1])]


def fisher(a, n_a, b, n_b, tail):
    """In whole numbers, as SciPy loses digits at a billion units."""
    if a + b > (n_a + n_b) // 2:
        tail = {"greater": "less", "less": "greater"}.get(tail, tail)
        a, b = n_a - a, n_b - b
    ways = {x: math.comb(n_b, x) * math.comb(n_a, a + b - x)
            for x in range(max(0, a + b - n_a), min(a + b, n_b) + 1)}
    chosen = {"both": lambda x: ways[x] <= ways[b], "greater": lambda x: x >= b,
              "less": lambda x: x <= b}[tail]
    return float(mpmath.mpf(sum(w for x, w in ways.items() if chosen(x))) / sum(ways.values()))


def proportions(r):
    z_cases, fisher_cases = [], []
    groups = [(r.randint(20, 10 ** r.randint(2, 9)), r.random() ** 3) for _ in range(40)]
    for n_a, p in groups:
        n_b = max(20, int(n_a * r.uniform(0.3, 3)))
        a, b = round(n_a * p), min(n_b, max(0, round(n_b * p + r.gauss(0, 2) * math.sqrt(n_b * p * (1 - p)))))
        z_cases.append((a, n_a, b, n_b))
    z_cases += [(50, 1000, 50, 1000), (0, 100, 40, 100), (100, 100, 60, 100), (10**8, 10**9, 10**8 + 500000, 10**9),
                (100, 1000, 600, 1000), (10, 100, 10, 100)]
    for _ in range(40):
        n_a, n_b = r.randint(1, 40), r.randint(1, 40)
        fisher_cases.append((r.randint(0, min(n_a, 4)), n_a, r.randint(0, min(n_b, 9)), n_b))
    fisher_cases += [(0, 10**6, 9, 10**6), (1, 1, 0, 1), (10**6, 10**6, 10**6 - 8, 10**6), (4, 4, 0, 4),
                     (0, 100, 5, 100), (3, 10**9, 0, 2 * 10**9), (3, 10**6, 3, 10**6)]
    made = {"z": [], "fisher": []}
    for a, n_a, b, n_b in z_cases + fisher_cases:
        hits, units = a + b, n_a + n_b
        if hits in (0, units):
            continue
        kind = "fisher" if min(hits, units - hits) * min(n_a, n_b) / units < 5 else "z"
        for tail, name in TAILS.items():
            alpha = r.choice(ALPHAS)
            level = alpha if tail == "both" else 2 * alpha
            method = "newcomb" if kind == "fisher" else "wald"
            interval = confint_proportions_2indep(b, n_b, a, n_a, method=method, compare="diff", alpha=level)
            one = {"a": [a, n_a], "b": [b, n_b], "tail": tail, "alpha": alpha,
                   "interval": one_sided(interval, tail)}
            if kind == "z":
                one["statistic"], one["p"] = proportions_ztest([b, a], [n_b, n_a], alternative=name)
                # The library subtracts two rounded proportions; of large arms little is left.
                p = mpmath.mpf(hits) / units
                z = (mpmath.mpf(b) / n_b - mpmath.mpf(a) / n_a) / mpmath.sqrt(
                    p * (1 - p) * (mpmath.mpf(1) / n_a + mpmath.mpf(1) / n_b))
                assert abs(one["statistic"] - z) < 1e-7 * max(1, abs(z))
                one["statistic"] = float(z)
                one["p"] = scipy.stats.norm.sf({"both": abs(float(z)), "greater": float(z),
                                               "less": -float(z)}[tail]) * (2 if tail == "both" else 1)
            else:
                table = [[b, n_b - b], [a, n_a - a]]
                p = scipy.stats.fisher_exact(table, alternative=SCIPY_TAILS[tail]).pvalue
                one["p"] = fisher(a, n_a, b, n_b, tail)
                assert abs(one["p"] / p - 1) < (1e-10 if units < 10**5 else 1e-6), (one, p)
            made[kind].append(one)
    return made


def ratios(r):
    cases = []
    for _ in range(30):
        arms = []
        for lift in (0, r.choice([0, 0.05])):
            n = r.choice([2, 5, 50, 500])
            ys = [r.randint(1, 20) * MILLION for _ in range(n)]
            xs = [round(y * (0.3 + lift) * r.uniform(0.5, 1.5)) for y in ys]
            arms.append((xs, ys))
        alpha, values = r.choice(ALPHAS), []
        for xs, ys in arms:
            x, y = [[mpmath.mpf(v) for v in vs] for vs in (xs, ys)]
            n, ratio = len(x), mpmath.fsum(x) / mpmath.fsum(y)
            rest = [u - ratio * v for u, v in zip(x, y)]
            mean_y = mpmath.fsum(y) / n
            values.append((ratio, mpmath.fsum(u * u for u in rest) / (n - 1) / n / mean_y**2))
        (a, var_a), (b, var_b) = values
        error = mpmath.sqrt(var_a + var_b)
        critical = scipy.stats.norm.isf(alpha / 2)
        cases.append({"a": sums(*arms[0]), "b": sums(*arms[1]), "tail": "both", "alpha": alpha,
                      "statistic": (b - a) / error, "p": 2 * scipy.stats.norm.sf(abs(float((b - a) / error))),
                      "interval": [float(b - a - critical * error), float(b - a + critical * error)],
                      "relative": relative(a, var_a, b, var_b, critical)})
    return cases


def tests():
    r = random.Random(2)
    made = proportions(r)
    binomial, split, table = [], [], []
    for _ in range(60):
        n, p = r.choice([1, 2, 7, 30, 100, 1000, 10**5]), r.choice([0.5, 0.1, 0.01, 1 / 3, r.random()])
        k = min(n, max(0, round(n * p + r.gauss(0, 3) * math.sqrt(n * p * (1 - p)))))
        binomial.append({"k": k, "n": n, "weight": p, "p": scipy.stats.binomtest(k, n, p).pvalue})
    for _ in range(40):
        k = r.randint(2, 8)
        weights = [r.choice([1, 1, 2, 0.5, 10]) for _ in range(k)]
        n = 10 ** r.uniform(2.5, 8)
        counts = [round(n * w / sum(weights) + r.gauss(0, 2) * math.sqrt(n * w / sum(weights))) for w in weights]
        if min(sum(counts) * w / sum(weights) for w in weights) < 5:
            continue
        expected = [sum(counts) * w / sum(weights) for w in weights]
        split.append({"counts": counts, "weights": weights,
                      "p": scipy.stats.chisquare(counts, expected, sum_check=False).pvalue})
        units = [max(c, 20) for c in counts]
        hits = [r.randint(1, u - 1) if r.random() < 0.1 else round(u * r.gauss(0.3, 0.3 / math.sqrt(u))) for u in units]
        hits = [min(max(h, 0), u) for h, u in zip(hits, units)]
        p = scipy.stats.chi2_contingency([hits, [u - h for u, h in zip(units, hits)]], correction=False).pvalue
        if p > 1e-290:
            table.append({"hits": hits, "units": units, "p": p})
    split += [{"counts": [c, 1000 - c], "weights": [1, 1], "p": scipy.stats.chisquare([c, 1000 - c]).pvalue}
              for c in (500, 440, 447, 448, 0)]
    write("tests", welch=welch_samples(r) + welch_large(), z=made["z"], fisher=made["fisher"],
          delta=ratios(r), binomial=binomial, split=split, table=table)


# --- intervals, adjustment, sequential ------------------------------------------------------------


def intervals():
    r = random.Random(3)
    wilson, nps = [], []
    for _ in range(60):
        n = int(10 ** r.uniform(0, 9))
        k = r.choice([0, n, 1, r.randint(0, n), n - 1])
        alpha = r.choice(ALPHAS)
        wilson.append({"hits": k, "n": n, "alpha": alpha,
                       "interval": list(proportion_confint(k, n, alpha, method="wilson"))})
    for _ in range(40):
        n = int(10 ** r.uniform(0, 6))
        promoters = r.randint(0, n)
        detractors = r.randint(0, n - promoters)
        alpha = r.choice(ALPHAS)
        p, d = mpmath.mpf(promoters) / n, mpmath.mpf(detractors) / n
        error = 100 * mpmath.sqrt((p + d - (p - d) ** 2) / n)
        margin = scipy.stats.norm.isf(alpha / 2) * error
        value = 100 * (p - d)
        nps.append({"promoters": promoters, "detractors": detractors, "n": n, "alpha": alpha,
                    "value": value, "error": error,
                    "interval": [float(max(value - margin, -100)), float(min(value + margin, 100))]})
    write("intervals", wilson=wilson, nps=nps)


def adjustments():
    r = random.Random(4)
    cases = []
    for _ in range(12):
        p = [r.choice([r.random(), 10 ** r.uniform(-20, 0), 0.04, 1.0]) for _ in range(r.randint(1, 120))]
        cases.append({"p": p, "holm": list(multipletests(p, method="holm")[1]),
                      "bh": list(multipletests(p, method="fdr_bh")[1])})
    write("adjust", cases=cases)


def sequential():
    r = random.Random(5)
    cases = []
    for _ in range(60):
        units, tuning = int(10 ** r.uniform(1, 9)), r.choice([5000, 1000, 100000])
        alpha, z = r.choice([0.05, 0.01, 0.1, 0.001]), r.choice([r.uniform(0, 6), r.uniform(6, 36)])
        for one in (False, True):
            level = mpmath.mpf(alpha) * (2 if one else 1)
            rho = mpmath.sqrt((-2 * mpmath.log(level) + mpmath.log(-2 * mpmath.log(level) + 1)) / tuning)
            v = units * rho**2

            def half(a):
                inner = 1 + mpmath.sqrt(v + 1) / (2 * a) if one else mpmath.sqrt(v + 1) / a
                return mpmath.sqrt(units) * mpmath.sqrt(
                    2 * (v + 1) / (units**2 * rho**2) * mpmath.log(inner))

            # The p whose interval just touches 0, by bisection on its logarithm.
            low, high = mpmath.mpf(-2000), mpmath.mpf(0)
            if half(mpmath.mpf(1)) >= z:
                p = mpmath.mpf(1)
            else:
                for _ in range(120):
                    middle = (low + high) / 2
                    low, high = (middle, high) if half(mpmath.exp(middle)) > z else (low, middle)
                p = mpmath.exp(high)
            cases.append({"units": units, "tuning": tuning, "alpha": alpha, "one_sided": one, "z": z,
                          "rho": rho, "critical": half(mpmath.mpf(alpha)), "p": p})
    write("sequential", cases=cases)


warnings.simplefilter("ignore")
distributions()
tests()
intervals()
adjustments()
sequential()
