"""The schema of Terraform's provider azurerm, made of the types in the npm package @cdktn/provider-azurerm.

    azurerm_schema.py PACKAGE.tgz FOLDER_OF_TERRAFORM_FILES > schema.json

That package is generated from the provider's own schema: it has every name, whether it is required, its type and how blocks nest.
It has not what the provider itself checks: which values a text may have, which arguments exclude each other. Only what the
Terraform files name is read, which is a hundredth of the package."""

import json
import re
import sys
import tarfile
from pathlib import Path

SIMPLE = {"string": "string", "boolean": "bool", "number": "number"}
USED = re.compile(r'^\s*(resource|data)\s+"(azurerm_\w+)"', re.MULTILINE)
# An argument in the types: its name as in Terraform stands in the link to the documentation above it.
ARGUMENT = re.compile(r"#(\w+) \w+#\w+\}.*?\*/\s*readonly \w+(\??): ([^;]+);", re.DOTALL)
INTERFACE = re.compile(r"^export interface (\w+)(?: extends [\w.]+)? \{\n(.*?)^\}", re.DOTALL | re.MULTILINE)
CLASS = re.compile(r"^class (\w+) extends [\w.]+ \{\n(.*?)^\}", re.DOTALL | re.MULTILINE)
# How a block or list nests is told by the function that writes it.
WRITER = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{\n(.*?)^\}", re.DOTALL | re.MULTILINE)
NESTING = re.compile(r'(\w+): \{\s*value: [^\n]*\n\s*isBlock: (true|false),\s*type: "(\w+)",\s*storageClassType: "(\w+)"')
ANSWER = re.compile(r"this\.get(String|Number|Boolean|List|NumberList|StringMap|BooleanMap|NumberMap)Attribute\('(\w+)'\)")
ANSWERS = {
    "String": "string", "Number": "number", "Boolean": "bool", "List": ["list", "string"], "NumberList": ["list", "number"],
    "StringMap": ["map", "string"], "BooleanMap": ["map", "bool"], "NumberMap": ["map", "number"],
}  # fmt: skip
ANSWERED_LIST = re.compile(r'new (\w+?)List\(this, "(\w+)", (true|false)\)')


def lower_first(text):
    return text[0].lower() + text[1:]


class Package:
    """The two files of a resource: its types and its code."""

    def __init__(self, types, code, main):
        self.interfaces = dict(INTERFACE.findall(types))
        self.classes = dict(CLASS.findall(code))
        self.writers = {name: self.nesting_of(body) for name, body in WRITER.findall(code)}
        self.main = main
        top = self.classes[main].split("synthesizeHclAttributes()", 1)
        self.writers[lower_first(main) + "Config"] = self.nesting_of(top[1] if len(top) == 2 else "")

    @staticmethod
    def nesting_of(body):
        return {name: nesting for name, _, nesting, _ in NESTING.findall(body)}

    def block(self, interface, answers):
        """A block of Terraform's JSON schema: what may be written in it, and what it answers."""
        attributes, blocks = {}, {}
        nesting = self.writers.get(lower_first(interface), {})
        for name, optional, type_ in ARGUMENT.findall(self.interfaces[interface]):
            type_ = type_.split(" | ")[0]
            nested = type_.removesuffix("[]")
            if nested in self.interfaces:
                blocks[name] = self.nested(name, nested, type_.endswith("[]"), bool(optional), nesting.get(name))
                continue
            attribute = {"type": self.type_of(type_, nesting.get(name)), "optional" if optional else "required": True}
            if name == "id" and optional:
                attribute["computed"] = True
            attributes[name] = attribute
        body = self.classes.get(answers, "")
        for kind, name in ANSWER.findall(body):
            if name not in attributes and name not in blocks:
                attributes[name] = {"type": ANSWERS[kind], "computed": True}
        for element, name, is_set in ANSWERED_LIST.findall(body):
            if name not in attributes and name not in blocks:
                attributes[name] = {"type": ["set" if is_set == "true" else "list", self.object(element)], "computed": True}
        return {"attributes": attributes, "block_types": blocks}

    def nested(self, name, interface, many, optional, nesting):
        block = self.block(interface, interface + "OutputReference")
        if name == "timeouts":
            return {"nesting_mode": "single", "block": block}
        limits = {} if many else {"max_items": 1}
        if not optional:
            limits["min_items"] = 1
        return {"nesting_mode": "set" if nesting == "set" else "list", "block": block, **limits}

    def object(self, interface):
        block = self.block(interface, interface + "OutputReference")
        return ["object", {name: attribute["type"] for name, attribute in block["attributes"].items()}]

    @staticmethod
    def type_of(type_, nesting):
        if type_ in SIMPLE:
            return SIMPLE[type_]
        if type_.endswith("[]") and type_[:-2] in SIMPLE:
            return ["set" if nesting == "set" else "list", SIMPLE[type_[:-2]]]
        map_ = re.fullmatch(r"\{\s*\[key: string\]: (\w+)(?: \|.*)?;?\s*\}?", type_)
        if map_:
            return ["map", SIMPLE[map_.group(1)]]
        raise SystemExit(f"azurerm_schema: what is the type {type_!r}?")


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def read(archive, folder, main):
    files = [archive.extractfile(f"package/lib/{folder}/index.{kind}").read().decode() for kind in ("d.ts", "js")]
    # The class of a resource is not always spelt as its name is: the one that extends TerraformResource.
    found = re.search(r"^class (\w+) extends cdktn\.Terraform(?:Resource|DataSource|Provider) \{", files[1], re.MULTILINE)
    if not found:
        raise SystemExit(f"azurerm_schema: {folder} has no class {main}")
    return Package(*files, found.group(1))


def schema(archive, used):
    names = set(archive.getnames())
    made = {"resource_schemas": {}, "data_source_schemas": {}}
    for kind, name in sorted(used):
        folder = name.removeprefix("azurerm_").replace("_", "-")
        if kind == "data":
            folder = f"data-azurerm-{folder}"
        if f"package/lib/{folder}/index.js" not in names:
            raise SystemExit(f"azurerm_schema: the provider has no {kind} {name}")
        package = read(archive, folder, camel(name))
        block = package.block(package.main + "Config", package.main)
        made["resource_schemas" if kind == "resource" else "data_source_schemas"][name] = {"version": 0, "block": block}
    package = read(archive, "provider", "AzurermProvider")
    made["provider"] = {"version": 0, "block": package.block(package.main + "Config", "")}
    return made


def main():
    used = {found for file in sorted(Path(sys.argv[2]).rglob("*.tf")) for found in USED.findall(file.read_text())}
    with tarfile.open(sys.argv[1]) as archive:
        json.dump(schema(archive, used), sys.stdout, indent=1)


main()
