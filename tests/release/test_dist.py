"""What scripts/dist makes of a commit. Run by scripts/test-dist, which brings the validators.

Each test works on clones of this checkout, whose state folder has the tools of this one's.
"""

import hashlib
import json
import os
import tarfile
import tempfile
import tomllib
import unittest
import zipfile
from pathlib import Path

from support import REPO, git, run

TOOLS = Path(os.environ["TOOLS"])
USER_CONFIG = "[core]\n\tautocrlf = true\n[tar]\n\tumask = 0\n[user]\n\tname = somebody\n\temail = somebody@example.org\n"


def clone(where):
    run("git", "clone", "--quiet", str(REPO), str(where))
    (where / ".local").mkdir()
    (where / ".local" / "tools").symlink_to(TOOLS)
    return where


def dist(checkout, folder, check=True, **environment):
    return run(str(checkout / "scripts" / "dist"), str(folder), check=check, env={**os.environ, **environment}, cwd="/")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Dist(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(dir=os.environ["WORK"])
        cls.work = Path(cls.temporary.name)
        cls.checkout = clone(cls.work / "one")
        cls.out = cls.work / "out"
        dist(cls.checkout, cls.out)
        cls.version = tomllib.loads((cls.checkout / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        cls.name = f"pg_recommend-{cls.version}"
        with tarfile.open(cls.out / f"{cls.name}.tar.gz") as archive:
            archive.extractall(cls.work / "tar", filter="fully_trusted")
            cls.members = archive.getmembers()
        cls.tree = cls.work / "tar" / cls.name

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def programs(self):
        for program in ("pg_recommend", "pg_recommend_trainer", "pg_recommend_lake"):
            yield program, json.loads((self.out / f"{program}.cdx.json").read_text())

    def test_another_checkout_user_time_zone_and_umask_give_the_same_bytes(self):
        other = clone(self.work / "another place")
        home = self.work / "home"
        home.mkdir()
        (home / ".gitconfig").write_text(USER_CONFIG)
        cargo = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
        rustup = os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup"))
        for path in other.rglob("*.rs"):
            path.touch()
            path.chmod(0o640)
        out = self.work / "again"
        old = os.umask(0o077)
        try:
            dist(other, out, HOME=str(home), CARGO_HOME=cargo, RUSTUP_HOME=rustup, TZ="Asia/Tokyo", LC_ALL="C")
        finally:
            os.umask(old)
        self.assertEqual(contents(out).keys(), contents(self.out).keys())
        for name, data in contents(self.out).items():
            self.assertEqual(hashlib.sha256(data).hexdigest(), hashlib.sha256((out / name).read_bytes()).hexdigest(), name)

    def test_the_checksums_are_of_every_file(self):
        listed = run("sha256sum", "--check", "SHA256SUMS", cwd=self.out).stdout
        self.assertEqual(listed.count(": OK"), len(contents(self.out)) - 1)

    def test_the_archive_is_the_commit_and_what_was_made_for_it(self):
        tracked = set(git(self.checkout, "ls-files").split("\n"))
        packed = {str(path.relative_to(self.tree)) for path in self.tree.rglob("*") if not path.is_dir()}
        self.assertEqual(packed - tracked, {"META.json", "sbom/pg_recommend.cdx.json", "sbom/pg_recommend_trainer.cdx.json", "sbom/pg_recommend_lake.cdx.json"})
        self.assertEqual(tracked - packed, set())

    def test_zip_and_tarball_hold_the_same(self):
        with zipfile.ZipFile(self.out / f"{self.name}.zip") as archive:
            files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
        self.assertEqual(files.keys(), {member.name for member in self.members if not member.isdir()})
        for member in self.members:
            if member.isfile():
                self.assertEqual(files[member.name], (self.work / "tar" / member.name).read_bytes(), member.name)

    def test_files_have_the_commits_time_and_plain_modes(self):
        committed = int(git(self.checkout, "show", "-s", "--format=%ct"))
        self.assertEqual({member.mtime for member in self.members}, {committed})
        self.assertEqual({member.mode for member in self.members if member.isfile()}, {0o644, 0o755})
        self.assertTrue(os.access(self.tree / "scripts" / "install", os.X_OK))

    def test_pgxn_takes_the_metadata(self):
        self.assertIn("OK", run(str(TOOLS / "bin" / "pgxn_meta"), str(self.tree / "META.json")).stdout)

    def test_pgxn_refuses_metadata_with_a_version_that_is_none(self):
        meta = json.loads((self.tree / "META.json").read_text())
        meta["version"] = "0.1"
        bad = self.work / "bad.json"
        bad.write_text(json.dumps(meta))
        self.assertNotEqual(run(str(TOOLS / "bin" / "pgxn_meta"), str(bad), check=False).returncode, 0)

    def test_the_targets_that_pgxns_client_makes_are_there(self):
        for target in ("all", "install"):
            run("make", "--dry-run", "PG_CONFIG=/usr/bin/pg_config", target, cwd=self.tree)

    def test_the_metadata_names_files_that_are_there_and_one_version(self):
        meta = json.loads((self.tree / "META.json").read_text())
        provided = meta["provides"]["pg_recommend"]
        self.assertEqual((meta["name"], meta["version"], provided["version"]), ("pg_recommend", self.version, self.version))
        for path in (provided["file"], provided["docfile"], *meta["no_index"]["directory"]):
            self.assertTrue((self.tree / path).exists(), path)
        # The oldest PostgreSQL that can be built for.
        features = tomllib.loads((self.tree / "Cargo.toml").read_text())["features"]
        oldest = min(int(name[2:]) for name in features if name.startswith("pg"))
        self.assertLessEqual(oldest, int(meta["prereqs"]["runtime"]["requires"]["PostgreSQL"].split(".")[0]))

    def test_the_lists_are_valid(self):
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        validator = JsonStrictValidator(SchemaVersion.V1_5)
        for program, bom in self.programs():
            self.assertIsNone(validator.validate_str(json.dumps(bom)), program)
        bom["components"][0]["type"] = "nonsense"
        self.assertIsNotNone(validator.validate_str(json.dumps(bom)))

    def test_every_crate_in_the_lists_is_of_the_locked_version(self):
        locked = {(package["name"], package["version"]) for package in tomllib.loads((self.tree / "Cargo.lock").read_text())["package"]}
        for program, bom in self.programs():
            crates = {(c["name"], c["version"]) for c in bom["components"] if c["purl"].startswith("pkg:cargo/")}
            self.assertEqual(crates - locked, set(), program)
            self.assertEqual((bom["metadata"]["component"]["name"], bom["metadata"]["component"]["version"]), (program, self.version))

    def test_what_each_program_links_is_in_its_list(self):
        manifests = {"pg_recommend": "Cargo.toml", "pg_recommend_trainer": "crates/trainer/Cargo.toml", "pg_recommend_lake": "crates/lake/Cargo.toml"}
        workspace = tomllib.loads((self.tree / "Cargo.toml").read_text())["workspace"]["dependencies"]
        for program, bom in self.programs():
            listed = {component["name"] for component in bom["components"]}
            for name in tomllib.loads((self.tree / manifests[program]).read_text())["dependencies"]:
                entry = workspace.get(name)
                name = entry.get("package", name) if isinstance(entry, dict) else name
                self.assertIn(name, listed, program)

    def test_the_trainers_list_has_what_scripts_libtorch_fetches(self):
        pins = (self.tree / "scripts" / "lib.sh").read_text()
        versions = {c["name"]: c["version"] for c in dict(self.programs())["pg_recommend_trainer"]["components"]}
        fetched = {"torch": "LIBTORCH", "nvidia-cuda-runtime": "CUDA_RUNTIME", "nvidia-cuda-cupti": "CUDA_CUPTI", "mkl-static": "MKL"}
        for name, variable in fetched.items():
            self.assertIn(f"\n{variable}_VERSION={versions[name]}\n", pins, name)

    def test_the_lists_do_not_tell_where_they_were_made(self):
        for program, bom in self.programs():
            text = json.dumps(bom)
            self.assertNotIn(str(self.work), text)
            places = {part for part in text.split('"') if part.startswith("path+file:")}
            self.assertTrue(all(part.startswith(("path+file://#", "path+file:///crates/")) for part in places), (program, places))

    def test_what_is_not_committed_is_left_out_and_told(self):
        other = clone(self.work / "changed")
        (other / "README.md").write_text("not committed\n")
        done = dist(other, self.work / "of changed")
        self.assertIn("not committed", done.stderr)
        self.assertEqual(contents(self.work / "of changed"), contents(self.out))

    def test_a_version_without_its_sql_is_no_release(self):
        other = clone(self.work / "without")
        git(other, "rm", "--quiet", f"sql/releases/pg_recommend--{self.version}.sql")
        git(other, "commit", "--quiet", "--message", "less")
        done = dist(other, self.work / "none", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"pg_recommend--{self.version}.sql is not in the commit", done.stderr)

    def test_files_of_another_version_do_not_stay_beside_it(self):
        folder = self.work / "old"
        folder.mkdir()
        (folder / "pg_recommend-0.0.1.tar.gz").write_text("old")
        dist(self.checkout, folder)
        self.assertEqual(contents(folder).keys(), contents(self.out).keys())


if __name__ == "__main__":
    unittest.main()
