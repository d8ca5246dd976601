"""scripts/deploy and scripts/publish-image on a clone of this checkout, with programs in the place of Terraform, Azure, Kubernetes
and docker. Run by scripts/test-dist."""

import json
import os
import tempfile
import tomllib
import unittest
from pathlib import Path

from support import REPO, StandIns, git, run

VERSION = tomllib.loads((REPO / "Cargo.toml").read_text())["workspace"]["package"]["version"]
TAG = f"v{VERSION}"
IMAGE = f"ghcr.io/owner/pg_recommend:15-{VERSION}"
HEALTHY = "Cluster in healthy state"
# What psql prints of reco.check_setup(): each item, whether it is sound, what there is to say.
SOUND = f"extension|t|{VERSION}\nPostgreSQL|t|15.19\ntrainer|t|{VERSION}\nGPU|f|there is none\ncatalog|t|nothing is missing"

TERRAFORM = """
case " $* " in
*" show "*) cat "$STATE_OF_TEST/plan.json" ;;
*" output -raw settings "*) cat "$STATE_OF_TEST/settings.yaml" ;;
*" output -raw "*) echo "the-${@: -1}" ;;
*" init "*) for a in "$@"; do case $a in -backend-config=*) cp "${a#*=}" "$STATE_OF_TEST/backend" ;; esac; done ;;
esac"""
# What the cluster answers is the next of a list of files; the last one stays.
AZ = """
cd "$STATE_OF_TEST/answers"
first=$(ls | head -n 1)
cat "$first"
[ "$(ls | wc -l)" -eq 1 ] || rm "$first" """


def answer(logs="", code=0):
    return json.dumps({"exitCode": code, "logs": logs})


APPLIED = answer("true/3/3/")


class Deploy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(dir=os.environ["WORK"])
        cls.checkout = Path(cls.temporary.name) / "checkout"
        run("git", "clone", "--quiet", str(REPO), str(cls.checkout))
        for folder in ("terraform/examples/staging", "k8s/overlays/staging"):
            (cls.checkout / folder).mkdir(parents=True, exist_ok=True)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(dir=os.environ["WORK"])
        self.addCleanup(temporary.cleanup)
        self.state = Path(temporary.name)
        self.programs = StandIns(self.state / "programs")
        self.programs.add("terraform", TERRAFORM)
        self.programs.add("kubectl", "echo objects")
        self.programs.add("az", AZ)
        self.plan("create")
        (self.state / "settings.yaml").write_text(f"data:\n  image: {IMAGE}\n")
        self.answers(answer("applied"), answer(f"{HEALTHY}\n{IMAGE}\n{IMAGE}\n{IMAGE}\n"), APPLIED, answer(SOUND))

    def plan(self, *actions):
        change = {"address": "azurerm_storage_account.backups", "change": {"actions": list(actions)}}
        (self.state / "plan.json").write_text(json.dumps({"resource_changes": [change]}))

    def answers(self, *texts):
        folder = self.state / "answers"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for number, text in enumerate(texts):
            (folder / f"{number:02}").write_text(text)

    def deploy(self, *arguments, **environment):
        environment = {"IMAGE_REPOSITORY": "ghcr.io/Owner/pg_recommend", "BACKEND_CONFIG": 'key = "state"', "STATE_OF_TEST": str(self.state),
                       "WAIT": "600", "PAUSE": "0", **environment}  # fmt: skip
        script = str(self.checkout / "scripts" / "deploy")
        return run(script, *arguments, check=False, env=self.programs.environment(**environment), cwd=self.state)

    def refused(self, done, words):
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(words, done.stderr)

    def verbs(self, program):
        return [call.split()[2 if program == "terraform" else 1] for call in self.programs.calls if call.startswith(f"{program} ")]

    def test_a_plan_changes_nothing(self):
        done = self.deploy("plan", "staging", TAG)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.verbs("terraform"), ["init", "plan", "show"])
        self.assertEqual(self.verbs("az"), [])
        self.assertEqual((self.state / "backend").read_text(), 'key = "state"\n')

    def locking(self, action):
        self.deploy(action, "staging", TAG)
        [planned] = [call for call in self.programs.calls if " plan " in call]
        self.programs.log.unlink()
        return [word for word in planned.split() if word.startswith("-lock")]

    def test_only_what_may_write_locks_the_state(self):
        self.assertEqual(self.locking("plan"), ["-lock=false"])
        self.assertEqual(self.locking("apply"), ["-lock-timeout=5m"])

    def test_what_is_applied_is_what_was_planned_with_the_image_of_the_tag(self):
        done = self.deploy("apply", "staging", TAG)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.verbs("terraform")[:4], ["init", "plan", "show", "apply"])
        planned, applied = (next(call for call in self.programs.calls if f" {verb} " in call).split() for verb in ("plan", "apply"))
        self.assertIn(f"image={IMAGE}", planned)
        self.assertIn(f"-out={applied[-1]}", planned)
        self.assertIn(f"staging runs {TAG}", done.stdout)

    def test_kubernetes_gets_the_overlay_with_the_settings_that_terraform_gave(self):
        self.deploy("apply", "staging", TAG)
        overlay = self.checkout / "k8s" / "overlays" / "staging"
        self.assertIn(IMAGE, (overlay / "settings.yaml").read_text())
        calls = self.programs.calls
        rendered = calls.index(f"kubectl kustomize {overlay}")
        applied = next(n for n, call in enumerate(calls) if call.startswith("az ") and "kubectl apply" in call)
        self.assertLess(rendered, applied)
        self.assertIn("--resource-group the-resource_group --name the-cluster", calls[applied])
        self.assertIn("--file objects.yaml", calls[applied])

    def test_what_would_destroy_or_replace_a_resource_is_refused(self):
        for actions in (["delete"], ["delete", "create"], ["create", "delete"]):
            self.plan(*actions)
            done = self.deploy("apply", "staging", TAG)
            self.refused(done, "azurerm_storage_account.backups")
            self.assertNotIn("apply", self.verbs("terraform"))

    def test_destroying_can_be_meant(self):
        self.plan("delete")
        self.assertEqual(self.deploy("apply", "staging", TAG, DESTROY="yes").returncode, 0)

    def test_it_waits_until_every_instance_has_the_image_and_the_cluster_is_healthy(self):
        other = IMAGE.replace(VERSION, "0.0.9")
        self.answers(answer("applied"), answer(f"{HEALTHY}\n{other}\n{other}\n"), answer(f"Upgrading cluster\n{IMAGE}\n{other}\n"),
                     answer(f"Upgrading cluster\n{IMAGE}\n{IMAGE}\n"), answer(f"{HEALTHY}\n{IMAGE}\n{IMAGE}\n"), APPLIED, answer(SOUND))  # fmt: skip
        done = self.deploy("apply", "staging", TAG)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.verbs("az")), 7)

    def test_an_instance_that_keeps_another_image_fails_it(self):
        self.answers(answer("applied"), answer(f"{HEALTHY}\n{IMAGE}\n{IMAGE.replace(VERSION, '0.0.9')}\n"))
        self.refused(self.deploy("apply", "staging", TAG, WAIT="0"), "not every instance runs")

    def rolled_out(self, *then):
        self.answers(answer("applied"), answer(f"{HEALTHY}\n{IMAGE}\n"), *then)

    def test_it_waits_until_the_operator_has_brought_the_sql_to_the_version(self):
        old = answer("0.0.9")
        # Without a status; failed; sound, but for the object as it was before.
        self.rolled_out(answer("/3//"), old, answer("false/3/2/no such file"), old, answer("true/3/2/"), old, APPLIED, answer(SOUND))
        done = self.deploy("apply", "staging", TAG)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(len(self.verbs("az")), 10)

    def test_sql_that_stays_older_fails_it_with_what_the_operator_says(self):
        self.rolled_out(answer("false/3/2/no such file"), answer("0.0.9"))
        self.refused(self.deploy("apply", "staging", TAG, WAIT="0"), "no such file")

    def test_sql_of_this_version_for_which_the_operator_has_an_error_fails_it(self):
        self.rolled_out(answer("false/3/2/pg_cron is missing"), answer(VERSION))
        self.refused(self.deploy("apply", "staging", TAG, WAIT="0"), "pg_cron is missing")

    def test_a_roll_back_leaves_newer_sql_and_asks_for_the_trainer(self):
        behind = (answer("false/3/2/no update path"), answer("99.0.0"))
        found = f"extension|f|the library is version {VERSION}, the catalog 99.0.0\ntrainer|%s|{VERSION}"
        self.rolled_out(*behind, answer(found % "t"))
        done = self.deploy("apply", "staging", TAG, WAIT="0")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("the SQL stays at 99.0.0", done.stdout)
        self.rolled_out(*behind, answer(found % "f"))
        self.refused(self.deploy("apply", "staging", TAG, WAIT="0"), "finds the fault")

    def test_a_fault_that_check_setup_tells_fails_it(self):
        for item in ("extension", "trainer", "catalog"):
            sound = next(line for line in SOUND.splitlines() if line.startswith(item))
            broken = f"{item}|f|it is broken"
            for found in (SOUND.replace(sound, broken), f"{SOUND}\n{broken}", SOUND.replace(f"{sound}\n", "").replace(f"\n{sound}", "")):
                self.rolled_out(APPLIED, answer(found))
                self.refused(self.deploy("apply", "staging", TAG, WAIT="0"), "finds the fault")

    def test_an_extension_that_does_not_answer_fails_it(self):
        self.rolled_out(APPLIED, answer("psql: error", 1))
        done = self.deploy("apply", "staging", TAG, WAIT="0")
        self.refused(done, "does not answer")
        self.assertIn("psql: error", done.stdout)

    def test_a_command_that_fails_in_the_cluster_fails_it_though_az_succeeds(self):
        self.answers(answer("error: no such kind", 1))
        done = self.deploy("apply", "staging", TAG)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no such kind", done.stdout)
        self.assertEqual(len(self.verbs("az")), 1)

    def test_settings_without_the_image_never_reach_the_cluster(self):
        (self.state / "settings.yaml").write_text("data:\n  image: other\n")
        self.refused(self.deploy("apply", "staging", TAG), "do not name")
        self.assertEqual(self.verbs("az"), [])

    def test_only_environments_that_are_described_can_be_deployed(self):
        for name in ("nowhere", "../staging", ""):
            self.refused(self.deploy("plan", name, TAG), "there is no environment")

    def test_a_checkout_of_another_version_than_the_tag_is_refused(self):
        self.refused(self.deploy("plan", "staging", "v9.9.9"), "check out v9.9.9")
        self.refused(self.deploy("plan", "staging", "main"), "no tag of a release")
        self.assertEqual(self.programs.calls, [])


class Image(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(dir=os.environ["WORK"])
        self.addCleanup(temporary.cleanup)
        self.programs = StandIns(Path(temporary.name) / "programs")
        self.digest = "sha256:" + "0123456789abcdef" * 4
        said = json.dumps({"containerimage.digest": self.digest, "image.name": "x"}, indent=2)
        # The registry has what is named in a file.
        self.there = Path(temporary.name) / "there"
        self.there.touch()
        asked = f'if [ "$2" = imagetools ]; then grep -qxF "$4" "{self.there}"; exit; fi\n'
        self.programs.add("docker", asked + f'while [ $# -gt 0 ]; do [ "$1" != --metadata-file ] || echo \'{said}\' >"$2"; shift; done')

    def publish(self, *arguments):
        environment = self.programs.environment(REGISTRY="ghcr.io/Owner")
        return run(str(REPO / "scripts" / "publish-image"), *arguments, check=False, env=environment)

    def built(self, *arguments):
        done = self.publish(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, next(call for call in self.programs.calls if " buildx build " in call)

    def test_the_server_is_named_by_postgresql_and_version(self):
        said, build = self.built("server", "15", TAG)
        self.assertEqual(said, f"name=ghcr.io/owner/pg_recommend\ndigest={self.digest}\n")
        for part in (f"--tag {IMAGE} ", "--build-arg PG_MAJOR=15", "--build-arg VARIANT=cpu", "--push", "--sbom true", "--provenance mode=max"):
            self.assertIn(part, build)
        self.assertIn(git(REPO, "rev-parse", "HEAD"), build)

    def test_the_one_for_gpus_has_a_name_of_its_own(self):
        _, build = self.built("cuda", "18", TAG)
        self.assertIn(f"--tag ghcr.io/owner/pg_recommend:18-{VERSION}-cuda ", build)
        self.assertIn("--build-arg VARIANT=cuda", build)

    def test_the_extension_is_an_image_of_its_own(self):
        said, build = self.built("extension", "18", TAG)
        self.assertIn("name=ghcr.io/owner/pg_recommend-extension\n", said)
        self.assertIn(f"--tag ghcr.io/owner/pg_recommend-extension:18-{VERSION} ", build)
        self.assertIn("--target extension", build)

    def test_an_image_that_is_there_is_not_replaced(self):
        self.there.write_text(f"{IMAGE}\n")
        done = self.publish("server", "15", TAG)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("never replaced", done.stderr)
        self.assertFalse([call for call in self.programs.calls if " build " in call])
        self.built("cuda", "15", TAG)

    def test_the_builder_is_removed_whatever_happens(self):
        self.built("server", "15", TAG)
        self.assertTrue(self.programs.calls[-1].startswith("docker buildx rm "))

    def test_what_is_no_image_or_no_version_is_refused_before_anything_is_built(self):
        for arguments in (("desktop", "15", TAG), ("server", "9", TAG), ("server", "15", "v9.9.9"), ("server", "15")):
            self.assertNotEqual(self.publish(*arguments).returncode, 0, arguments)
        self.assertEqual(self.programs.calls, [])


if __name__ == "__main__":
    unittest.main()
