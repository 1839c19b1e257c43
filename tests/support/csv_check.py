"""Claims: csv_records (argument) reads texts of odd pieces, and files that Python has written, as Python's
csv module does; and calls those bad that Python refuses when it is strict."""

import csv
import io
import random
import subprocess
import sys

PIECES = ['"', '""', ",", "\n", "\r\n", "\r", "a", "b c", "1.5", "", '"x"', '"x,y"', '"p\nq"', '"x"y', "杯", " "]


def by_python(text, strict):
    return list(csv.reader(io.StringIO(text, newline=""), strict=strict))


def by_us(program, text):
    done = subprocess.run([program], input=text.encode(), stdout=subprocess.PIPE, check=True)
    return [line if line == "bad" else [bytes.fromhex(cell).decode() for cell in line.split(",")[:-1]]
            for line in done.stdout.decode().splitlines()]


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


n_texts = n_bad = 0
for each in texts():
    read = by_us(sys.argv[1], each)
    wrong = difference(read, each)
    if wrong:
        sys.exit(f"{each!r}: {wrong}")
    n_texts += 1
    n_bad += "bad" in read
if not 0 < n_bad < n_texts:
    sys.exit(f"{n_bad} of {n_texts} are bad: the pieces do not try enough")
print(f"{n_texts} texts, {n_bad} of them bad")
