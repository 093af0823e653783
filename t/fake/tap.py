# SPDX-License-Identifier: Apache-2.0
"""TAP for scripts, as tap.h is for C: a test calls ok, equal, has, skip, and finish at its end."""
import sys

_run, _failed = 0, 0


def ok(passed, name, *lines):
    """One assertion; lines tell more where it fails."""
    global _run, _failed
    _run += 1
    print(f"{'' if passed else 'not '}ok {_run} - {name}", flush=True)
    if not passed:
        _failed += 1
        frame = sys._getframe(1)
        while frame.f_code.co_filename == __file__:
            frame = frame.f_back
        diag(f"failed: {frame.f_code.co_filename} line {frame.f_lineno}")
        for line in lines:
            diag(line)
    return bool(passed)


def equal(got, want, name):
    return ok(got == want, name, f"got  {got!r:.2000}", f"want {want!r:.2000}")


def has(got, part, name):
    return ok(part in got, name, f"got     {got!r:.2000}", f"without {part!r}")


def skip(count, why):
    global _run
    for _ in range(count):
        _run += 1
        print(f"ok {_run} # SKIP {why}", flush=True)


def diag(text):
    for line in str(text).splitlines():
        print(f"# {line}", file=sys.stderr, flush=True)


def finish():
    """A run without an assertion fails."""
    print(f"1..{_run}", flush=True)
    sys.exit(1 if _failed or _run == 0 else 0)
