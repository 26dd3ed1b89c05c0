#!/usr/bin/env python3
"""yaml_roundtrip.py TREE.json TEXT.yaml: the YAML must say what the JSON says, as read by YAML 1.1
(PyYAML) and by the YAML 1.2 core schema (section 10.3.2), which Kubernetes' tools sit between.
Exit status 77: PyYAML is not there."""
import json
import re
import sys

try:
    import yaml
except ImportError:
    print("skipped: python3-yaml is not installed")
    sys.exit(77)


class Core12(yaml.SafeLoader):
    """PyYAML with the implicit types of the 1.2 core schema instead of its own."""


Core12.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("null", r"^(?:null|Null|NULL|~|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    ("float", r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
     r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", list("-+0123456789.")),
):
    Core12.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile(pattern), first)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        want = json.load(f)
    with open(sys.argv[2], encoding="utf-8", newline="") as f:
        text = f.read()
    for name, loader in (("1.1", yaml.SafeLoader), ("1.2", Core12)):
        got = yaml.load(text, Loader=loader)
        if got != want:
            for key in want if isinstance(want, dict) else ():
                if got.get(key) != want[key]:
                    print(f"{key}: wrote {want[key]!r}, YAML {name} reads {got.get(key)!r}")
            sys.exit(f"YAML {name} reads something else")


main()
