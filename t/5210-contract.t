#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""openapi.yaml against itself, against the table of the spec's fields, and against gantryd's table of routes."""
import os
import subprocess
import sys

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import *

METHODS = ("get", "post", "put", "patch", "delete")


class Strict(yaml.SafeLoader):
    """A key given twice is an error, not the last one."""


def no_duplicates(loader, node, deep=False):
    keys = [loader.construct_object(key, deep) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.YAMLError(f"{node.start_mark}: twice: {twice}")
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, no_duplicates)

with open(os.path.join(ROOT, "core/api/openapi.yaml")) as file:
    contract = yaml.load(file, Strict)
ok(contract["openapi"].startswith("3.1"), "openapi.yaml is OpenAPI 3.1, no key twice")

# itself
stray = []


def find_stray(value, where):
    """A comma in a description without quotes makes a key of what follows it."""
    if isinstance(value, dict):
        for key, each in value.items():
            if each is None:
                stray.append(f"{where}: {key}")
            find_stray(each, f"{where}/{key}")
    elif isinstance(value, list):
        for each in value:
            find_stray(each, where)


find_stray(contract, "")
equal(stray, [], "no key is without a value")
dangling, used = [], set()


def walk(value):
    if isinstance(value, dict):
        ref = value.get("$ref")
        if isinstance(ref, str):
            used.add(ref)
            at = contract
            for part in ref[2:].split("/"):
                at = at.get(part) if isinstance(at, dict) else None
            if at is None:
                dangling.append(ref)
        for each in value.values():
            walk(each)
    elif isinstance(value, list):
        for each in value:
            walk(each)


walk(contract)
equal(dangling, [], "every $ref leads somewhere")
parts = {f"#/components/{kind}/{name}" for kind, names in contract["components"].items() for name in names}
equal(sorted(parts - used), [], "no component is unused")

operations = {}
for path, item in contract["paths"].items():
    for method, operation in item.items():
        if method in METHODS:
            operations[f"{method.upper()} {path}"] = (item, operation)
ids = [operation["operationId"] for _, operation in operations.values()]
equal(sorted(ids), sorted(set(ids)), "operation ids are unique")


def resolve(value):
    while "$ref" in value:
        at = contract
        for part in value["$ref"][2:].split("/"):
            at = at[part]
        value = at
    return value


wrong = []
for name, (item, operation) in operations.items():
    parameters = [resolve(p) for p in item.get("parameters", []) + operation.get("parameters", [])]
    in_path = {p["name"] for p in parameters if p["in"] == "path"}
    if in_path != set(re.findall(r"{(\w+)}", name)):
        wrong.append(name)
    if "default" not in operation["responses"] or not operation.get("summary", "").endswith("."):
        wrong.append(name)
    if not [status for status in operation["responses"] if status.startswith("2") or status == "101"]:
        wrong.append(name)
equal(wrong, [], "path parameters are declared, answers and summaries are there")

# the table of fields
rows = spec_rows()
ok(len(rows) > 30, f"the header's table has {len(rows)} fields")
spec = contract["components"]["schemas"]["Spec"]
equal(list(spec["properties"]), [row[1] for row in rows], "Spec has the fields of GANTRY_SPEC_FIELDS, in their order")
equal({key: value.get("description") for key, value in spec["properties"].items()}, {row[1]: row[6] for row in rows}, "with their help")
equal([key for key, value in spec["properties"].items() if value.get("x-gantry-unsafe")],
     [row[1] for row in rows if "GANTRY_FIELD_UNSAFE" in row[3]], "those that are unsafe are marked")
equal([key for key, value in spec["properties"].items() if value.get("x-gantry-resize")],
     [row[1] for row in rows if "GANTRY_FIELD_RESIZE" in row[3]], "those that may change are marked")
equal(spec["required"], [row[1] for row in rows if "GANTRY_FIELD_REQUIRED" in row[3]], "those that are required are")
equal(spec["additionalProperties"], False, "and no others are allowed")
equal(list(contract["components"]["schemas"]["Resize"]["properties"]),
     [row[1] for row in rows if "GANTRY_FIELD_RESIZE" in row[3]], "Resize has those that may change")

kinds = {"STRING": {"type": "string"}, "BOOL": {"type": "boolean"}, "INT": {"type": "integer"}, "CPUS": {"type": "number"}}
refs = {"SIZE": "Size", "DURATION": "Duration", "HEALTH": "HealthCheck", "BLOCK_IO": "BlockIo", "LOG": "Log"}
items = {"ENV": "EnvironmentVariable", "MOUNTS": "Mount", "PORTS": "Port", "NETWORK_PORTS": "NetworkPort", "DEVICES": "Device", "ULIMITS": "Ulimit"}
wrong = []
for _, key, kind, *_ in rows:
    value = spec["properties"][key]
    if kind in kinds:
        fits = value["type"] == kinds[kind]["type"]
    elif kind in refs:
        fits = value["$ref"].endswith("/" + refs[kind])
    elif kind in items:
        fits = value["type"] == "array" and value["items"]["$ref"].endswith("/" + items[kind])
    elif kind == "STRINGS":
        fits = value["type"] == "array" and value["items"] == {"type": "string"}
    else:
        fits = kind == "PAIRS" and value["type"] == "object" and value["additionalProperties"] == {"type": "string"}
    if not fits:
        wrong.append(f"{key} {kind}")
equal(wrong, [], "each has the type of its kind")

# the server's table of routes, in both directions
gantryd = os.path.join(BUILD, "gantryd")
if os.path.exists(gantryd):
    printed = subprocess.run([gantryd, "--routes"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LIMIT)
    equal(printed.returncode, 0, "gantryd --routes")
    routes = printed.stdout.decode().splitlines()
    wanted = [f"{name} {operation['operationId']}" for name, (_, operation) in operations.items()]
    equal(sorted(set(wanted) - set(routes)), [], "every route of the contract is served")
    equal(sorted(set(routes) - set(wanted)), [], "every route of the server is in the contract")
    equal(len(routes), len(set(routes)), "none is there twice")
else:
    ok(False, "gantryd is built: its routes are half of this test")
finish()
