"""Runs test modules and writes one line a test, for people and for tests/run.

    python3 -m support.runner [--results FILE] process.test_replay …        (in tests/)

A line of FILE is `pass|fail|skip<TAB>name<TAB>reason`.
"""

import argparse
import sys
import time
import unittest


class Result(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.n_failed = 0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def line(self, outcome, test, reason=""):
        name = test.id().removeprefix("process.").removeprefix("support.")
        took = time.monotonic() - getattr(self, "began", time.monotonic())
        reason = " ".join(reason.split())[:300]
        print(f"  {outcome} {name} ({took:.1f} s){': ' + reason if reason else ''}", flush=True)
        if self.out:
            self.out.write(f"{outcome}\t{name}\t{reason}\n")
            self.out.flush()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line("pass", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("skip", test, reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failed(test, self.failures[-1][1], err)

    def addError(self, test, err):
        super().addError(test, err)
        self.failed(test, self.errors[-1][1], err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failed(subtest, self._exc_info_to_string(err, test), err)

    def failed(self, test, text, err):
        self.n_failed += 1
        print(text)
        if hasattr(test, "on_failure"):
            test.on_failure()
        self.line("fail", test, str(err[1]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results")
    parser.add_argument("modules", nargs="+")
    options = parser.parse_args()
    out = open(options.results, "a", encoding="utf-8") if options.results else None
    result = Result(out)
    # A module that cannot be imported becomes a test that fails.
    unittest.defaultTestLoader.loadTestsFromNames(options.modules).run(result)
    return 1 if result.n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
