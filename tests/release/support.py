"""What the tests of a release share: programs run, and programs that stand in for others and write down how they are called."""

import os
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def run(*command, check=True, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if check and done.returncode:
        raise AssertionError(f"{command} failed:\n{done.stdout}{done.stderr}")
    return done


def git(checkout, *arguments):
    return run("git", "-C", str(checkout), "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments).stdout.strip()


class StandIns:
    """Programs in a folder in front of PATH. Each call is a line in `calls`: the program's name and its arguments."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "calls"
        (folder / "bin").mkdir(parents=True)

    def add(self, name, body=""):
        path = self.folder / "bin" / name
        path.write_text(f'#!/bin/bash\nprintf "%s\\n" "{name} $*" >>"{self.log}"\n{body}\n')
        path.chmod(0o755)

    def environment(self, **more):
        return {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", **more}

    @property
    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []
