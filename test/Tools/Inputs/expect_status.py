"""Runs a command and fails unless its exit status is the expected one.

    expect_status.py 2 trec-compile --frobnicate
"""

from __future__ import annotations

import subprocess
import sys


def main() -> int:
    expected, command = int(sys.argv[1]), sys.argv[2:]
    status = subprocess.run(command, check=False).returncode
    if status != expected:
        # To the stream that the caller looks at, in place of what it looks for.
        print(f"expected status {expected}, got {status}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
