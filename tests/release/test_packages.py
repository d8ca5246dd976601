"""What scripts/deb refuses before it installs or builds anything. Run by scripts/test-dist."""

import os
import tempfile
import unittest
from pathlib import Path

from support import REPO, StandIns, run


class Refused(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(dir=os.environ["WORK"])
        self.addCleanup(temporary.cleanup)
        self.programs = StandIns(Path(temporary.name) / "programs")
        # Called only where a check has let something pass.
        for name in ("apt-get", "cargo"):
            self.programs.add(name, "exit 9")

    def deb(self, processor="x86_64", **environment):
        self.programs.add("uname", f"echo {processor}")
        done = run(str(REPO / "scripts" / "deb"), "99", check=False, env=self.programs.environment(**environment))
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual([call for call in self.programs.calls if not call.startswith("uname")], [])
        return done.stderr

    def test_a_version_that_is_not_that_of_the_sources_is_refused(self):
        for version in ("0.0.1-1", "99.0.0-2", "1", "-1"):
            self.assertIn(f"DEB_VERSION is {version}:", self.deb(DEB_VERSION=version))

    def test_another_revision_of_the_sources_version_is_taken(self):
        version = run("sed", "-n", 's/^version = "\\(.*\\)"/\\1/p', str(REPO / "Cargo.toml")).stdout.split()[0]
        for revision in ("2", "1~bpo12+1"):
            self.assertIn("PostgreSQL 99 is not supported", self.deb(DEB_VERSION=f"{version}-{revision}"))
        self.assertIn(f"DEB_VERSION is {version}:", self.deb(DEB_VERSION=version))
        self.assertIn(f"DEB_VERSION is {version}-1-2:", self.deb(DEB_VERSION=f"{version}-1-2"))

    def test_on_arm_it_says_whose_licences_are_missing(self):
        said = self.deb(processor="aarch64")
        for part in ("aarch64", "libarm_compute", "libnvpl", "make install"):
            self.assertIn(part, said)


if __name__ == "__main__":
    unittest.main()
