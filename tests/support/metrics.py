"""The Prometheus text format, read strictly enough to notice what promtool would not."""

import re

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)(?: (-?\d+))?\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|\Z)')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Metrics(dict):
    """{(name, ((label, value), …) sorted): number}"""

    def select(self, name, **labels):
        wanted = set(labels.items())
        return {k[1]: v for k, v in self.items()
                if k[0] == name and wanted <= set(k[1])}

    def values(self, name, **labels):
        return list(self.select(name, **labels).values())

    def sum(self, name, **labels):
        return sum(self.values(name, **labels))

    def one(self, name, **labels):
        found = self.values(name, **labels)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} series of {name}{labels}")
        return found[0]


def _labels(text, line):
    labels = []
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        if not match:
            raise ValueError(f"bad labels: {line}")
        value = re.sub(r'\\[\\"n]', lambda m: ESCAPES[m.group()], match.group(2))
        labels.append((match.group(1), value))
        at = match.end()
    return tuple(sorted(labels))


def parse_text(text):
    """Text format 0.0.4. Raises ValueError on what is not that, or on a series given twice."""
    if text and not text.endswith("\n"):
        raise ValueError("the last line does not end")
    metrics = Metrics()
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        if not match:
            raise ValueError(f"bad sample: {line}")
        key = (match.group(1), _labels(match.group(2) or "", line))
        if key in metrics:
            raise ValueError(f"twice: {line}")
        metrics[key] = float(match.group(3))
    return metrics
