"""What the figures were measured on."""

import os
import platform
import re
from pathlib import Path


def describe(connection):
    cpu = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", cpu)
    flags = re.search(r"^(?:flags|Features)\s*: (.*)", cpu, re.MULTILINE)
    vectors = [shown for flag, shown in VECTORS.items() if flags and flag in flags[1].split()]
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    (version,) = connection.execute("SELECT split_part(version(), ' on ', 1)").fetchone()
    (buffers,) = connection.execute("SHOW shared_buffers").fetchone()
    return [
        f"{name[1] if name else platform.machine()} ({', '.join(vectors) or 'no vector extension known'}), "
        f"{os.cpu_count()} cores, {int(memory[1]) / 2**20:.0f} GiB of memory",
        f"Linux {platform.release()}, {version}, shared_buffers {buffers}",
        "jit off, no parallel workers in queries",
    ]


VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "fma": "FMA", "asimd": "NEON"}
