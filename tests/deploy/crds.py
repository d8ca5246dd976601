"""Compares objects of custom resources with what their definitions allow, and refuses every field that is not in them.

    crds.py OBJECTS.yaml FOLDER_OF_CRATE...

The definitions are read from crates that hold them as Rust types, made by kopium from the projects' own YAML: names, types, which
are required, which values an enumeration has. Patterns, bounds and rules in CEL are not in them: a server's dry run knows those."""

import re
import sys
from pathlib import Path

import jsonschema
import yaml

KIND = re.compile(r'#\[kube\(\s*group = "([^"]+)",\s*version = "([^"]+)",\s*kind = "([^"]+)"')
ITEM = re.compile(r"^pub (struct|enum) (\w+) \{\n(.*?)^\}", re.DOTALL | re.MULTILINE)
# A long type stands on lines of its own.
FIELD = re.compile(r"((?:^ *#\[.*?\]\n)*)^    pub ([\w#]+):\s+(.+?),\n(?=    #|    pub |\Z)", re.DOTALL | re.MULTILINE)
VARIANT = re.compile(r"((?:^ *#\[.*?\]\n)*)^    (\w+),$", re.DOTALL | re.MULTILINE)
RENAME = re.compile(r'rename = "([^"]*)"')
PLAIN = {
    "String": {"type": "string"},
    "bool": {"type": "boolean"},
    "i32": {"type": "integer"},
    "i64": {"type": "integer"},
    "f64": {"type": "number"},
    "IntOrString": {"type": ["integer", "string"]},
    "serde_json::Value": {},
}
# Azure's copies of what Prometheus's operator defines.
COPIES = {"azmonitoring.coreos.com/v1": "monitoring.coreos.com/v1"}
# What the API server itself knows of every object.
METADATA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
        "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def without_comments(text):
    return re.sub(r"^ *///?.*\n", "", text, flags=re.MULTILINE)


class Definitions:
    """All types of one file, and the kind that it defines."""

    def __init__(self, text):
        group, version, kind = KIND.search(text).groups()
        self.name = (f"{group}/{version}", kind)
        self.items = {name: (what, body) for what, name, body in ITEM.findall(without_comments(text))}
        self.spec = f"{kind}Spec"

    def schema(self):
        definitions = {name: self.item(*item) for name, item in self.items.items()}
        api_version, kind = self.name
        return {
            "type": "object",
            "properties": {
                "apiVersion": {"const": api_version},
                "kind": {"const": kind},
                "metadata": METADATA,
                "spec": {"$ref": f"#/$defs/{self.spec}"},
            },
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "additionalProperties": False,
            "$defs": definitions,
        }

    def item(self, what, body):
        if what == "enum":
            return {"enum": [(RENAME.search(attributes) or [None, name])[1] for attributes, name in VARIANT.findall(body)]}
        properties, required = {}, []
        for attributes, name, type_ in FIELD.findall(body):
            type_ = re.sub(r"\s+", "", type_).replace(",", ", ").replace(", >", ">")
            found = RENAME.search(attributes)
            name = found[1] if found else name.removeprefix("r#")
            optional = re.fullmatch(r"Option<(.+)>", type_)
            if not optional:
                required.append(name)
            properties[name] = self.type_of(optional[1] if optional else type_)
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def type_of(self, type_):
        if type_ in PLAIN:
            return PLAIN[type_]
        if found := re.fullmatch(r"Vec<(.+)>", type_):
            return {"type": "array", "items": self.type_of(found[1])}
        if found := re.fullmatch(r"(?:BTree|Hash)Map<String, (.+)>", type_):
            return {"type": "object", "additionalProperties": self.type_of(found[1])}
        if type_ in self.items:
            return {"$ref": f"#/$defs/{type_}"}
        # Of Kubernetes itself, in a status: nothing that a manifest writes.
        return {}


def definitions(folders):
    found = {}
    for folder in folders:
        for file in sorted(Path(folder).rglob("*.rs")):
            text = file.read_text()
            if KIND.search(text):
                made = Definitions(text)
                found[made.name] = made
    return found


def is_built_in(one):
    """Whether the object is of Kubernetes itself, which kubernetes-validate looks at."""
    group = one["apiVersion"].rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def main():
    known, wrong, right = definitions(sys.argv[2:]), 0, 0
    for one in yaml.safe_load_all(Path(sys.argv[1]).read_text()):
        if is_built_in(one):
            continue
        one["apiVersion"] = COPIES.get(one["apiVersion"], one["apiVersion"])
        name = (one["apiVersion"], one["kind"])
        called = f"{one['kind']} {one['metadata'].get('name')}"
        if name not in known:
            print(f"{called}: there is no {name[1]} in {name[0]}")
            wrong += 1
            continue
        errors = list(jsonschema.Draft202012Validator(known[name].schema()).iter_errors(one))
        for error in errors:
            print(f"{called}: at {error.json_path}: {error.message}")
        wrong += bool(errors)
        right += not errors
    print(f"{right} objects are as their definitions say")
    sys.exit(wrong > 0 or right == 0)


main()
