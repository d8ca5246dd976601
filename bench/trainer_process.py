"""The trainer's process, watched from outside while a backend waits for it."""

import threading
from contextlib import contextmanager
from pathlib import Path

from peers.separate import peak_memory

NAME = "pg_recommend_tr"  # as much as the kernel keeps of it
PAUSE = 0.01


@contextmanager
def watched(connection):
    """Of the trainers that the connection's backend starts meanwhile."""
    watch = Watch(connection.info.backend_pid)
    watch.start()
    try:
        yield watch
    finally:
        watch.ended.set()
        watch.join()


class Watch(threading.Thread):
    """`peak`: the most that a trainer ever had resident, in bytes. The kernel keeps the highest mark, so that only a rise
    in the last hundredth of a second can be missed."""

    def __init__(self, backend):
        super().__init__(daemon=True)
        self.children = Path(f"/proc/{backend}/task/{backend}/children")
        self.ended = threading.Event()
        self.peak = 0

    def run(self):
        while not self.ended.wait(PAUSE):
            for process in self.children.read_text().split():
                self.peak = max(self.peak, peak_of_trainer(process))


def peak_of_trainer(process):
    """0 for a process that is none, before it has started or after it has ended."""
    try:
        if Path(f"/proc/{process}/comm").read_text().strip() != NAME:
            return 0
        return peak_memory(process)
    except (OSError, TypeError):  # gone meanwhile, its memory first
        return 0
