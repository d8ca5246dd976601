"""The figures as a table, on the terminal and in README.md."""

HEADINGS = ["", "pg_recommend", "beside it", "measured", "bound", ""]

HOW = """# Benchmarks

    make bench                        all of them
    scripts/bench bulk by_key         some of them: {names}
    SIZE=50000 scripts/bench          smaller tables, to try whether they run
    bench/gpu.sh                      the trainer alone beside PyTorch on one device; needs no server, is in no table here

`make bench` fetches what the peers need, builds and installs the extension in the project's private PostgreSQL,
starts a cluster for the purpose and removes it at the end. Each figure stands beside its peer, measured in the same
run: the two take turns, and the medians are compared. *measured* is the ratio, pg_recommend to peer or peer to
pg_recommend as the bound wants it, or the figure itself where it has a unit. A run at full size writes its tables into
this file: a table is from one run, two tables may be from two.
"""


def cells(figure):
    return [figure.what, figure.ours, figure.peer, figure.measured, figure.bound, figure.verdict]


def as_text(title, figures):
    table = [HEADINGS] + [cells(figure) for figure in figures]
    widths = [max(len(line[n]) for line in table) for n in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]
    return "\n".join([f"\n{title}", *(f"    {line}" for line in lines)])


def as_markdown(before, machine, settings, sections, benchmarks):
    """The whole file: `before` with the sections in place of those of the same title. Sections that no benchmark here
    writes stay at the end."""
    parts = dict(part.split("\n", 1) for part in before.split("\n## ")[1:])
    parts["Measured on"] = "\n".join(["", *(f"- {line}" for line in [*machine, settings])]) + "\n"
    for module, figures in sections:
        table = [HEADINGS, ["---"] * len(HEADINGS)] + [cells(figure) for figure in figures]
        lines = [f"| {' | '.join(line)} |" for line in table]
        parts[module.TITLE] = "\n".join(["", module.NOTE, "", *lines]) + "\n"
    titles = ["Measured on", *(module.TITLE for module in benchmarks.values())]
    titles += [title for title in parts if title not in titles]
    text = [f"## {title}\n{parts[title].rstrip()}\n" for title in titles if title in parts]
    return "\n".join([HOW.format(names=", ".join(benchmarks)), *text])
