"""Claims: csv_records (argument) reads texts of odd pieces, and files that Python has written, as Python's
csv module does; and calls those bad that Python refuses when it is strict."""

import csv
import io
import random
import subprocess
import sys
import tempfile

PIECES = ['"', '""', ",", "\n", "\r\n", "\r", "a", "b c", "1.5", "", '"x"', '"x,y"', '"p\nq"', '"x"y', "杯", " "]


def by_python(text, strict):
    return list(csv.reader(io.StringIO(text, newline=""), strict=strict))


def by_us(program, every):
    """The records of each text."""
    with tempfile.TemporaryDirectory(prefix="kpid-csv-") as directory:
        for i, text in enumerate(every):
            with open(f"{directory}/{i}", "w", encoding="utf-8", newline="") as f:
                f.write(text)
        done = subprocess.run([program, *(f"{directory}/{i}" for i in range(len(every)))],
                              stdout=subprocess.PIPE, check=True)
    result = [[]]
    for line in done.stdout.decode().splitlines():
        if line == "end":
            result.append([])
        else:
            result[-1].append(line if line == "bad" else
                              [bytes.fromhex(cell).decode() for cell in line.split(",")[:-1]])
    return result[:-1]


def refused(text):
    try:
        by_python(text, strict=True)
        return False
    except csv.Error:
        return True


def difference(ours, text):
    theirs = by_python(text, strict=False)
    if refused(text) != ("bad" in ours):
        return f"Python {'refuses' if refused(text) else 'reads'} it; ours: {ours}"
    if len(ours) != len(theirs) or any(a not in ("bad", b) for a, b in zip(ours, theirs)):
        return f"Python: {theirs}; ours: {ours}"
    return ""


def texts():
    chance = random.Random(4180)
    for _ in range(1000):
        yield "".join(chance.choice(PIECES) for _ in range(chance.randrange(1, 25)))
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC):
        for end in ("\r\n", "\n"):
            file = io.StringIO(newline="")
            writer = csv.writer(file, quoting=quoting, lineterminator=end)
            for _ in range(300):
                writer.writerow(["".join(chance.choice(PIECES) for _ in range(chance.randrange(6)))
                                 for _ in range(5)])
            yield file.getvalue()


every = list(texts())
read = by_us(sys.argv[1], every)
assert len(read) == len(every)
for text, records in zip(every, read):
    wrong = difference(records, text)
    if wrong:
        sys.exit(f"{text!r}: {wrong}")
n_bad = sum("bad" in records for records in read)
if not 0 < n_bad < len(every):
    sys.exit(f"{n_bad} of {len(every)} are bad: the pieces do not try enough")
print(f"{len(every)} texts, {n_bad} of them bad")
