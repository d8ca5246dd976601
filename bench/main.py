"""Runs the benchmarks; started by bench/run.

SIZE (rows of the wide table) scales everything. What ran at full size is written into README.md.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import bulk
import by_key
import client
import connection
import counting
import data
import features
import imported
import lake
import launch
import machine
import measure
import memory
import quality
import report
import service
import shared
import tables
import top
import training
import workers

FULL = 1_000_000
BENCHMARKS = {
    "bulk": bulk,
    "counting": counting,
    "client": client,
    "imported": imported,
    "by_key": by_key,
    "service": service,
    "top": top,
    "workers": workers,
    "training": training,
    "memory": memory,
    "connection": connection,
    "shared": shared,
    "features": features,
    "lake": lake,
    "launch": launch,
    "quality": quality,
    "tables": tables,
}


@dataclass
class Scale:
    rows: int
    python_rows: int
    products: int
    repetitions: int
    pgbench_seconds: int
    connections: int
    sales: float  # of a year

    @staticmethod
    def of(rows):
        full = rows >= FULL
        return Scale(
            rows=rows,
            python_rows=rows // 10,
            products=rows // 50,
            repetitions=7 if full else 3,
            pgbench_seconds=6 if full else 2,
            connections=20,
            sales=rows / FULL,
        )


def main():
    chosen = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(chosen) - set(BENCHMARKS):
        raise SystemExit(f"error: there is no benchmark {', '.join(sorted(unknown))}: {', '.join(BENCHMARKS)}")
    scale = Scale.of(int(os.environ.get("SIZE", FULL)))
    server = measure.connect()
    start = time.monotonic()
    data.create(server, scale.rows, scale.products)
    data.train(server)
    data.create_peers(server)
    print(f"tables of {scale.rows:,} rows, models trained: {time.monotonic() - start:.0f} s", flush=True)

    sections = []
    for name in chosen:
        figures = BENCHMARKS[name].run(scale)
        sections.append((BENCHMARKS[name], figures))
        print(report.as_text(BENCHMARKS[name].TITLE, figures), flush=True)
    short = [figure for _, figures in sections for figure in figures if figure.verdict == "SHORT"]
    print(f"\nFigures that fall short of their bounds: {len(short)}. {time.monotonic() - start:.0f} s")

    if scale.rows == FULL:
        settings = f"medians of {scale.repetitions} turns; pgbench {scale.pgbench_seconds} s a turn"
        readme = Path(__file__).with_name("README.md")
        readme.write_text(report.as_markdown(readme.read_text(), machine.describe(server), settings, sections, BENCHMARKS))
        print("bench/README.md is written.")


if __name__ == "__main__":
    main()
