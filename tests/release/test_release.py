"""The steps of scripts/release, on clones of this checkout and with a program in the place of gh. Run by scripts/test-dist."""

import os
import re
import tempfile
import tomllib
import unittest
from pathlib import Path

from support import REPO, StandIns, git, run


class Release(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(dir=os.environ["WORK"])
        self.addCleanup(temporary.cleanup)
        self.work = Path(temporary.name)

    def checkout(self):
        """A clone whose changelog has this version, on a branch main."""
        where = self.work / "checkout"
        run("git", "clone", "--quiet", str(REPO), str(where))
        self.version = tomllib.loads((where / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        changelog = where / "CHANGELOG.md"
        text = re.sub(rf"(?m)^## (Unreleased|\[?{re.escape(self.version)}\]?.*)$", "## other", changelog.read_text())
        changelog.write_text(text.replace("## other", f"## {self.version} - 2026-12-01\n\n- [a page](docs/README.md)\n\n## other", 1))
        git(where, "checkout", "--quiet", "-B", "main")
        git(where, "commit", "--quiet", "--all", "--message", "ready")
        return where

    def release(self, checkout, *arguments, check=False, **environment):
        environment = {**os.environ, "MAIN_BRANCH": "main", **environment}
        return run(str(checkout / "scripts" / "release"), *arguments, check=check, env=environment, cwd=self.work)

    def refused(self, done, words):
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(words, done.stderr)

    def test_a_commit_of_main_with_its_notes_and_sql_may_be_released(self):
        checkout = self.checkout()
        self.release(checkout, "check", f"v{self.version}", check=True)

    def test_a_tag_of_another_version_may_not(self):
        self.refused(self.release(self.checkout(), "check", "v99.0.0"), "the version in Cargo.toml")

    def test_a_version_that_is_not_what_its_files_deploy_may_not(self):
        carriers = ("k8s/base/database.yaml", "k8s/overlays/production/settings.yaml", "terraform/examples/staging/main.tf", "docs/install.md")
        checkout = self.checkout()
        for name in carriers:
            file = checkout / name
            text = file.read_text()
            self.assertIn(self.version, text)
            file.write_text(text.replace(self.version, "0.0.9"))
            self.refused(self.release(checkout, "check", f"v{self.version}"), f"{name}:")
            file.write_text(text)

    def test_a_version_without_notes_may_not(self):
        checkout = self.checkout()
        (checkout / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- something\n")
        self.refused(self.release(checkout, "check", f"v{self.version}"), "CHANGELOG.md is not ready")

    def test_a_version_without_its_sql_may_not(self):
        checkout = self.checkout()
        (checkout / "sql" / "releases" / f"pg_recommend--{self.version}.sql").unlink()
        self.refused(self.release(checkout, "check", f"v{self.version}"), "is missing")

    def test_a_version_that_was_released_may_not(self):
        checkout = self.checkout()
        with open(checkout / "sql" / "releases" / "released", "a") as released:
            released.write(f"{self.version} 0123abc pg_recommend--{self.version}.sql 0123abc\n")
        self.refused(self.release(checkout, "check", f"v{self.version}"), "released already")

    def test_a_commit_that_is_not_on_main_may_not(self):
        checkout = self.checkout()
        git(checkout, "checkout", "--quiet", "-b", "side")
        git(checkout, "commit", "--quiet", "--allow-empty", "--message", "not reviewed")
        self.refused(self.release(checkout, "check", f"v{self.version}"), "not on main")

    def handed_over(self):
        for name, files in {"source": ["a.tar.gz"], "packages-15": ["b.deb"], "packages-16": ["c.deb"]}.items():
            (self.work / "from" / name).mkdir(parents=True)
            for file in files:
                (self.work / "from" / name / file).write_text(file)
        run("bash", "-c", "sha256sum a.tar.gz >SHA256SUMS", cwd=self.work / "from" / "source")

    def test_what_the_jobs_hand_over_is_one_folder_with_one_list(self):
        self.handed_over()
        self.release(REPO, "gather", "from", "to", check=True)
        self.assertEqual(sorted(path.name for path in (self.work / "to").iterdir()), ["SHA256SUMS", "a.tar.gz", "b.deb", "c.deb"])
        self.assertEqual(run("sha256sum", "--check", "SHA256SUMS", cwd=self.work / "to").stdout.count(": OK"), 3)

    def test_a_file_that_changed_on_the_way_is_refused(self):
        self.handed_over()
        (self.work / "from" / "source" / "a.tar.gz").write_text("other")
        self.refused(self.release(REPO, "gather", "from", "to"), "does not fit")

    def test_two_files_of_one_name_are_refused(self):
        self.handed_over()
        (self.work / "from" / "packages-16" / "b.deb").write_text("of another job")
        self.refused(self.release(REPO, "gather", "from", "to"), "two files b.deb")

    def test_nothing_is_no_release(self):
        (self.work / "from").mkdir()
        self.refused(self.release(REPO, "gather", "from", "to"), "nothing to release")

    def publish(self, draft):
        checkout = self.checkout()
        programs = StandIns(self.work / "programs")
        view = f'if [ "$2" = view ]; then {draft}; fi'
        programs.add("gh", view + f'\nwhile [ $# -gt 0 ]; do [ "$1" != --notes-file ] || cp "$2" "{self.work}/notes"; shift; done')
        folder = self.work / "files"
        folder.mkdir()
        for name in ("a.deb", "SHA256SUMS"):
            (folder / name).write_text(name)
        done = self.release(checkout, "publish", f"v{self.version}", str(folder),
                            **programs.environment(GITHUB_REPOSITORY="owner/name", GITHUB_SERVER_URL="https://host"))  # fmt: skip
        return done, [call.split()[2] for call in programs.calls], programs

    def test_a_release_is_a_draft_until_every_file_is_there(self):
        done, verbs, programs = self.publish("exit 1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(verbs, ["view", "create", "upload", "edit"])
        create, upload, edit = programs.calls[1:]
        self.assertIn("--draft ", create)
        self.assertIn("--verify-tag", create)
        self.assertTrue("a.deb" in upload and "SHA256SUMS" in upload)
        self.assertIn("--draft=false", edit)
        self.assertIn(f"[a page](https://host/owner/name/blob/v{self.version}/docs/README.md)", (self.work / "notes").read_text())

    def test_a_draft_of_a_run_that_broke_off_is_gone_on_with(self):
        done, verbs, _ = self.publish("echo true; exit")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(verbs, ["view", "upload", "edit"])

    def test_what_is_published_is_not_changed(self):
        done, verbs, _ = self.publish("echo false; exit")
        self.refused(done, "published already")
        self.assertEqual(verbs, ["view"])


if __name__ == "__main__":
    unittest.main()
