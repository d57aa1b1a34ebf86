"""Starts commands from a small process, for their peak of memory is never below that of the process that starts them.

Standard library only, and as little of it as can be: reads a command a line as JSON, answers with what it took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from subprocess import Popen
from threading import Timer


def main() -> int:
    """Answer commands until the input ends."""
    for line in sys.stdin:
        task = json.loads(line)
        with open(task["output"], "wb") as output:
            begin = time.perf_counter()
            process = Popen(task["command"], stdout=output, stderr=output, cwd=task["folder"])
            alarm = Timer(task["seconds"], process.kill)
            alarm.start()
            _pid, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begin
            alarm.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
        answer = {
            "cpu": usage.ru_utime + usage.ru_stime,
            "wall": wall,
            "peak": usage.ru_maxrss * 1024,
            "code": process.returncode,
        }
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
