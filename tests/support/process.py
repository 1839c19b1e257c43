"""A child process with its output in a file, that can be stopped, killed, paused and looked at."""

import os
import signal
import subprocess

from support.ports import wait_until


class Child:
    """Starts at once. stdout and stderr are appended to log_path unless stdout is given."""

    def __init__(self, argv, log_path, env=None, cwd=None, stdout=None):
        self.argv = [str(a) for a in argv]
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=stdout or log,
                                          stderr=log, env=env, cwd=cwd, start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def pause(self):
        """SIGSTOP, and waits until the kernel says that it stands."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self.state() in "TtZ", 5, "process stops")

    def cont(self):
        self.signal(signal.SIGCONT)

    def state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0]

    def wait(self, timeout=30):
        """The exit code (negative: the signal that ended it)."""
        return self.popen.wait(timeout)

    def stop(self, timeout=30):
        """SIGTERM and the exit code; SIGKILL if it does not end in time."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.argv[0]} did not end {timeout} s after SIGTERM") from None

    def kill(self):
        """kill -9."""
        if self.running():
            self.popen.kill()
        self.popen.wait()

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def log_tail(self, n=40):
        return "\n".join(self.log().splitlines()[-n:])


def cpu_seconds(pid):
    """User and system time of a process and its threads so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
