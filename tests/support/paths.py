"""Where things are."""

import os

SUPPORT = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(SUPPORT)
ROOT = os.path.dirname(TESTS)
BUILD = os.environ.get("KPID_BUILD", os.path.join(ROOT, "build"))
KPID = os.environ.get("KPID", os.path.join(BUILD, "daemon", "kpid"))
