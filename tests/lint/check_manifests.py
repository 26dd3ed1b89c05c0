#!/usr/bin/env python3
"""check_manifests.py MANIFESTS.yaml CRD.yaml...

Checks DataVolume and VirtualMachine documents as an API server would: against the structural
schemas of the CRDs, with unknown fields and null refused, and by those rules of KubeVirt's admission
that a schema cannot tell. Exit status 77: python3-yaml, python3-jsonschema or a CRD is not there."""
import os
import re
import sys

try:
    import jsonschema
    import yaml
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")
LABEL_KEY = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
QUANTITY = re.compile(r"[0-9]+(Ki|Mi|Gi|Ti)?$")
SERIAL = re.compile(r"[A-Za-z0-9_.+-]{1,256}$")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
problems = []


def expect(condition, text):
    if not condition:
        problems.append(text)


def structural(schema):
    """A CRD's schema in terms of JSON Schema, closed where Kubernetes would prune."""
    if not isinstance(schema, dict):
        return schema
    out = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties"):
            out[key] = {k: structural(v) for k, v in value.items()}
        elif key in ("items", "additionalProperties", "not"):
            out[key] = structural(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            out[key] = [{k: v for k, v in s.items() if k != "type"} for s in value]
        elif not key.startswith("x-kubernetes") and key not in ("format", "default"):
            out[key] = value
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if ("properties" in schema and "additionalProperties" not in schema
            and not schema.get("x-kubernetes-preserve-unknown-fields")):
        out["additionalProperties"] = False
    return out


def load_schemas(paths):
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    schemas = {}
    for path in paths:
        if not os.path.exists(path):
            print(f"skipped: {path} is not there")
            sys.exit(77)
        with open(path, encoding="utf-8") as f:
            for crd in yaml.load_all(f, Loader=loader):
                if not crd or crd.get("kind") != "CustomResourceDefinition":
                    continue
                spec = crd["spec"]
                for version in spec["versions"]:
                    api = f"{spec['group']}/{version['name']}"
                    schema = structural(version["schema"]["openAPIV3Schema"])
                    schema["properties"]["metadata"] = {"type": "object"}
                    schemas[api, spec["names"]["kind"]] = schema
    return schemas


def no_null(value, where):
    if isinstance(value, dict):
        for key, item in value.items():
            expect(isinstance(key, str), f"{where}: key {key!r} is no string")
            no_null(item, f"{where}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            no_null(item, f"{where}[{i}]")
    else:
        expect(value is not None, f"{where}: null")


def check_metadata(doc, where):
    metadata = doc["metadata"]
    expect(LABEL.match(metadata.get("name", "")), f"{where}: name {metadata.get('name')!r}")
    for key, value in metadata.get("labels", {}).items():
        expect(LABEL_KEY.match(key), f"{where}: label key {key!r}")
        expect(LABEL_VALUE.match(value), f"{where}: label {key}: {value!r}")
    total = 0
    for key, value in metadata.get("annotations", {}).items():
        expect(LABEL_KEY.match(key), f"{where}: annotation key {key!r}")
        expect(isinstance(value, str), f"{where}: annotation {key}: {value!r} is no string")
        total += len(key.encode()) + len(str(value).encode())
    expect(total <= 256 * 1024, f"{where}: annotations of {total} bytes")


def check_data_volume(doc, where):
    expect(len(doc["spec"]["source"]) == 1, f"{where}: source")
    size = doc["spec"]["storage"]["resources"]["requests"]["storage"]
    expect(isinstance(size, str) and QUANTITY.match(size), f"{where}: storage {size!r}")


def check_disks(spec, where, data_volumes):
    devices = spec["domain"]["devices"]
    volumes = {v["name"]: v for v in spec.get("volumes", [])}
    names = [d["name"] for d in devices.get("disks", [])]
    expect(len(names) == len(set(names)) and len(names) <= 256, f"{where}: disk names {names}")
    expect(set(names) == set(volumes), f"{where}: disks {names}, volumes {list(volumes)}")
    orders = [d["bootOrder"] for d in devices.get("disks", []) if "bootOrder" in d]
    expect(orders == ([1] if names else []), f"{where}: boot orders {orders}")
    for disk in devices.get("disks", []):
        expect(LABEL.match(disk["name"]), f"{where}: disk name {disk['name']!r}")
        expect("serial" not in disk or SERIAL.match(disk["serial"]), f"{where}: serial")
        expect("ide" not in str(disk["disk"].get("bus")), f"{where}: bus")
        expect(not disk.get("shareable") or disk.get("cache") == "none", f"{where}: shared cache")
    for volume in volumes.values():
        source = volume.get("dataVolume", {}).get("name") or volume["persistentVolumeClaim"]["claimName"]
        expect(source in data_volumes, f"{where}: volume of unknown {source}")


def check_networks(spec, where):
    interfaces = spec["domain"]["devices"].get("interfaces", [])
    networks = {n["name"]: n for n in spec.get("networks", [])}
    expect([i["name"] for i in interfaces] == list(networks), f"{where}: NICs and networks")
    expect(sum("pod" in n for n in networks.values()) <= 1, f"{where}: pod networks")
    for nic in interfaces:
        network = networks[nic["name"]]
        bindings = [b for b in ("masquerade", "bridge", "sriov") if b in nic]
        expect(len(bindings) == 1, f"{where}: bindings {bindings}")
        expect(("masquerade" in nic) == ("pod" in network), f"{where}: masquerade off the pod network")
        expect("pod" in network or network["multus"]["networkName"], f"{where}: networkName")
        expect(nic["model"] in ("e1000", "e1000e", "igb", "virtio"), f"{where}: {nic['model']}")
        mac = nic.get("macAddress")
        expect(mac is None or re.match(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$", mac), f"{where}: {mac}")
        expect(mac != "02:00:00:00:00:00", f"{where}: MAC of masquerade")


def check_templates(doc, where, data_volumes):
    """The names that volumes may bear: of DataVolumes beside the VM, or of its templates."""
    templates = doc["spec"].get("dataVolumeTemplates", [])
    names = [t["metadata"]["name"] for t in templates]
    expect(len(names) == len(set(names)), f"{where}: templates {names}")
    expect(not (data_volumes and names), f"{where}: templates beside DataVolumes")
    for template in templates:
        check_data_volume(template, f"{where}: template {template['metadata']['name']}")
    used = {v.get("dataVolume", {}).get("name") for v in doc["spec"]["template"]["spec"].get("volumes", [])}
    expect(set(names) <= used, f"{where}: template that no volume names")
    return data_volumes | set(names)


def check_vm(doc, where, data_volumes):
    spec = doc["spec"]["template"]["spec"]
    domain = spec["domain"]
    data_volumes = check_templates(doc, where, data_volumes)
    strategy = doc["spec"]["runStrategy"]
    expect(strategy in ("Halted", "Always", "RerunOnFailure"), f"{where}: runStrategy {strategy}")
    expect("hostname" not in spec or LABEL.match(spec["hostname"]), f"{where}: hostname")
    expect(domain["memory"]["guest"], f"{where}: memory")
    expect("q35" in domain["machine"]["type"], f"{where}: machine")
    boot = domain["firmware"]["bootloader"]
    expect(len(boot) == 1, f"{where}: bootloader")
    if "efi" in boot:
        secure = boot["efi"].get("secureBoot", True)
        smm = domain.get("features", {}).get("smm", {}).get("enabled", False)
        expect(not secure or smm, f"{where}: secure boot without smm")
    expect("uuid" not in domain["firmware"] or UUID.match(domain["firmware"]["uuid"]), f"{where}: uuid")
    check_disks(spec, where, data_volumes)
    check_networks(spec, where)


def main():
    schemas = load_schemas(sys.argv[2:])
    with open(sys.argv[1], encoding="utf-8") as f:
        docs = [d for d in yaml.safe_load_all(f) if d is not None]
    kinds = [d["kind"] for d in docs]
    expect(kinds.count("VirtualMachine") == 1, f"kinds {kinds}")
    data_volumes = {d["metadata"]["name"] for d in docs if d["kind"] == "DataVolume"}
    for doc in docs:
        where = f"{doc['kind']} {doc['metadata']['name']}"
        schema = schemas.get((doc["apiVersion"], doc["kind"]))
        expect(schema, f"{where}: no CRD for {doc['apiVersion']}")
        if schema:
            for e in jsonschema.Draft202012Validator(schema).iter_errors(doc):
                problems.append(f"{where}: {e.json_path}: {e.message[:300]}")
        no_null(doc, where)
        check_metadata(doc, where)
        if doc["kind"] == "DataVolume":
            check_data_volume(doc, where)
        else:
            check_vm(doc, where, data_volumes)
    if problems:
        sys.exit("\n".join(problems))


main()
