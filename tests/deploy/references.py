"""Looks whether what the objects of a rendered overlay name is there: secrets, ConfigMaps, clusters, stores, the pods that network
policies are for; and whether versions and memory go together, and the version is that of the sources.

    references.py OBJECTS.yaml"""

import re
import sys
import tomllib
from pathlib import Path

import yaml

MANIFEST = Path(__file__).resolve().parents[2] / "Cargo.toml"
UNITS = {"": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def size(text):
    """Of PostgreSQL or of Kubernetes, in bytes."""
    number, unit = re.fullmatch(r"(\d+)(\w*)", text).groups()
    return int(number) * UNITS[unit]


def walk(value, path=""):
    """Every mapping below, with its path."""
    if isinstance(value, dict):
        yield path, value
        for key, one in value.items():
            yield from walk(one, f"{path}.{key}")
    elif isinstance(value, list):
        for one in value:
            yield from walk(one, path)


class Overlay:
    def __init__(self, objects):
        self.objects = objects
        self.wrong = []
        [self.cluster] = self.of("Cluster")
        self.name = self.cluster["metadata"]["name"]
        self.config_maps = {one["metadata"]["name"]: set(one["data"]) for one in self.of("ConfigMap")}
        self.secrets = {one["spec"]["target"]["name"]: set(one["spec"]["target"]["template"]["data"]) for one in self.of("ExternalSecret")}
        # The operator's.
        self.secrets[f"{self.name}-ca"] = {"ca.crt"}

    def of(self, kind):
        return [one for one in self.objects if one["kind"] == kind]

    def names(self, kind):
        return {one["metadata"]["name"] for one in self.of(kind)}

    def expect(self, holds, message):
        if not holds:
            self.wrong.append(message)

    def check(self):
        for one in self.objects:
            self.called = f"{one['kind']} {one['metadata']['name']}"
            if one["kind"] != "Namespace":
                [namespace] = self.names("Namespace")
                self.expect(one["metadata"].get("namespace") == namespace, f"{self.called} is not in the namespace {namespace}")
            self.expect("from-settings" not in yaml.safe_dump(one), f"{self.called} has a value that no setting has replaced")
            for path, mapping in walk(one):
                self.keys(path, mapping)
        self.clusters()
        self.pods()
        self.version()
        self.memory()
        return self.wrong

    def keys(self, path, mapping):
        """A mapping may be a reference to a Secret or a ConfigMap, and to a key of it."""
        last = path.rsplit(".", 1)[-1]
        if last in ("secretKeyRef", "passwordSecret") or path.endswith(".initdb.secret"):
            self.key(self.secrets, "secret", mapping["name"], mapping.get("key", "password"))
        elif last == "secret" and "secretName" in mapping:
            for item in mapping.get("items", []):
                self.key(self.secrets, "secret", mapping["secretName"], item["key"])
        elif last in ("configMapKeyRef", "configMapRefs", "customQueriesConfigMap"):
            self.key(self.config_maps, "ConfigMap", mapping["name"], mapping["key"])
        elif last == "configMap":
            self.expect(mapping["name"] in self.config_maps, f"{self.called}: there is no ConfigMap {mapping['name']}")
        elif last == "secretStoreRef":
            self.expect(mapping["name"] in self.names("SecretStore"), f"{self.called}: there is no SecretStore {mapping['name']}")
        elif last == "serviceAccountRef":
            self.expect(mapping["name"] in self.names("ServiceAccount"), f"{self.called}: there is no ServiceAccount {mapping['name']}")

    def key(self, known, what, name, key):
        self.expect(key in known.get(name, ()), f"{self.called}: there is no {what} {name} with the key {key}")

    def clusters(self):
        for one in self.of("Database") + self.of("Pooler") + self.of("ScheduledBackup"):
            called = f"{one['kind']} {one['metadata']['name']}"
            self.expect(one["spec"]["cluster"]["name"] == self.name, f"{called} is for a cluster that is not there")
        for plugin in self.cluster["spec"]["plugins"]:
            store = plugin["parameters"]["barmanObjectName"]
            self.expect(store in self.names("ObjectStore"), f"the cluster archives to the ObjectStore {store}, which is not there")

    def pods(self):
        """What a policy, a budget or a monitor is for must be a label of some pod."""
        there = [{"cnpg.io/cluster": self.name, "cnpg.io/podRole": "instance"}]
        there += [{"cnpg.io/cluster": self.name, "cnpg.io/poolerName": name} for name in self.names("Pooler")]
        there += [one["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"] for one in self.of("CronJob")]
        for one in self.of("NetworkPolicy") + self.of("PodDisruptionBudget") + self.of("PodMonitor"):
            for path, mapping in walk(one["spec"]):
                wanted = mapping.get("matchLabels", {})
                if path.endswith(("podSelector", ".selector")) and wanted:
                    found = any(wanted.items() <= labels.items() for labels in there)
                    self.expect(found, f"{one['kind']} {one['metadata']['name']}: no pod has the labels {wanted}")

    def version(self):
        """The SQL that the operator installs is that of the image, and both are of the version that is released from here."""
        spec = self.cluster["spec"]
        images = [extension["image"]["reference"] for extension in spec["postgresql"].get("extensions", [])] or [spec["imageName"]]
        tag = images[0].rsplit(":", 1)[-1]
        [wanted] = [
            extension["version"]
            for database in self.of("Database")
            for extension in database["spec"]["extensions"]
            if extension["name"] == "pg_recommend"
        ]
        self.expect(re.match(rf"\d+-{re.escape(wanted)}(-|@|$)", tag), f"the image is {images[0]}, the extension's version {wanted}")
        sources = tomllib.loads(MANIFEST.read_text())["workspace"]["package"]["version"]
        self.expect(wanted == sources, f"the extension's version is {wanted}, that of Cargo.toml {sources}")

    def memory(self):
        spec = self.cluster["spec"]
        limit, parameters = spec["resources"]["limits"]["memory"], spec["postgresql"]["parameters"]
        taken = size(parameters["shared_buffers"]) + size(parameters["reco.max_training_memory"]) * int(parameters["reco.max_scheduled_runs"])
        self.expect(taken <= 0.75 * size(limit), f"shared_buffers and trainings leave sessions less than a quarter of {limit}")
        self.expect(spec["resources"]["requests"]["memory"] == limit, "an instance may be given less memory than its limit")


def main():
    wrong = Overlay(list(yaml.safe_load_all(Path(sys.argv[1]).read_text()))).check()
    print("\n".join(wrong) if wrong else "all that is named is there")
    sys.exit(len(wrong) > 0)


main()
