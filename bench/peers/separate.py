"""A peer in a process of its own, so that its peak memory is its own too. It measures itself: Python's start and the
imports are over when its clock starts."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

BENCH = Path(__file__).parent.parent


def run(module, params, environment=()):
    """What the module made, as a dictionary, with the seconds it took and the process's peak memory in bytes."""
    command = [sys.executable, "-m", module.__name__, json.dumps(params)]
    threads = {"OMP_NUM_THREADS": str(params["threads"])}
    made = subprocess.run(
        command, cwd=BENCH, env=os.environ | threads | dict(environment), stdout=subprocess.PIPE, check=True
    )
    return json.loads(made.stdout)


def main(function):
    """Of the process: calls the function with the parameters given and prints what came of it."""
    params = json.loads(sys.argv[1])
    start = time.perf_counter()
    result = function(params)
    seconds = time.perf_counter() - start
    print(json.dumps(result | {"seconds": seconds, "peak": peak_memory("self")}))


def peak_memory(process):
    """The most that was ever resident, in bytes; getrusage's figure would include what a parent had before exec."""
    return int(re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{process}/status").read_text())[1]) * 1024
