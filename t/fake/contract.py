# SPDX-License-Identifier: Apache-2.0
"""Answers of gantryd held against core/api/openapi.yaml: status, media type and every member of the JSON.

The part of JSON Schema that the contract uses, and no more: a keyword that is not known here is an
error of the test. In answers a member that the contract does not name is a finding too, but where the
schema says that more may follow (Event).
"""
import json
import os
import re

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# words that say nothing about what is valid, or that are checked elsewhere (t/5210-contract.t)
NOTES = {"description", "default", "format", "x-gantry-unsafe", "x-gantry-resize", "$ref"}
OPEN = {"#/components/schemas/Event"}
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "null": lambda v: v is None,
}


class Contract:
    def __init__(self):
        with open(os.path.join(ROOT, "core/api/openapi.yaml")) as file:
            self.document = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.routes = []
        for path, item in self.document["paths"].items():
            pattern = re.compile("^" + re.sub(r"{\w+}", "[^/]+", path) + "$")
            for method, operation in item.items():
                if method != "parameters":
                    self.routes.append((method.upper(), pattern, operation))

    def at(self, ref):
        value = self.document
        for part in ref[2:].split("/"):
            value = value[part]
        return value

    def answer(self, method, target, status, headers, body):
        """What is wrong with an answer, as texts."""
        path = target.partition("?")[0]
        where = f"{method} {path} {status}"
        operation = next((o for m, p, o in self.routes if m == method and p.match(path)), None)
        if operation is None:
            response = self.at("#/components/responses/Problem")
        else:
            response = operation["responses"].get(str(status))
            if response is None:
                if status < 400:
                    return [f"{where}: no such status in the contract"]
                response = operation["responses"]["default"]
        if "$ref" in response:
            response = self.at(response["$ref"])
        kind = (headers.get("Content-Type") or "").partition(";")[0]
        content = response.get("content", {})
        if not kind and not content:
            return []
        if kind not in content:
            return [f"{where}: media type {kind!r} is not in the contract"]
        wrong = [] if "Location" in headers or "Location" not in response.get("headers", {}) else [
            f"{where}: no Location"]
        if kind.endswith("json"):
            try:
                value = json.loads(body)
            except ValueError as error:
                return wrong + [f"{where}: {error}: {body[:200]!r}"]
            wrong += self.check(content[kind]["schema"], value, where)
            if kind == "application/problem+json" and value.get("status") != status:
                wrong.append(f"{where}: the document says status {value.get('status')}")
        return wrong

    def check(self, schema, value, where, closed=True):
        """closed: members that are not named are findings."""
        if isinstance(schema, str):
            schema = {"$ref": schema}
        wrong = []
        if "$ref" in schema:
            wrong += self.check(self.at(schema["$ref"]), value, where, closed and schema["$ref"] not in OPEN)
        for word, wanted in schema.items():
            if word in NOTES:
                continue
            rule = getattr(self, "_" + word, None)
            if rule is None:
                raise AssertionError(f"contract.py knows no keyword {word!r}")
            wrong += rule(schema, wanted, value, where, closed)
            if word == "type" and wrong:
                return wrong
        return wrong

    def _type(self, schema, wanted, value, where, closed):
        return [] if TYPES[wanted](value) else [f"{where}: {value!r:.80} is no {wanted}"]

    def _enum(self, schema, wanted, value, where, closed):
        return [] if value in wanted else [f"{where}: {value!r:.80} is none of {wanted}"]

    def _const(self, schema, wanted, value, where, closed):
        return [] if value == wanted else [f"{where}: {value!r:.80} is not {wanted!r}"]

    def _required(self, schema, wanted, value, where, closed):
        return [f"{where}: no member {name}" for name in wanted if name not in value]

    def _properties(self, schema, wanted, value, where, closed):
        wrong = []
        for name, part in wanted.items():
            if name in value:
                wrong += self.check(part, value[name], f"{where}.{name}", closed)
        if closed and "additionalProperties" not in schema:
            wrong += [f"{where}: member {name} is not in the contract" for name in value if name not in wanted]
        return wrong

    def _additionalProperties(self, schema, wanted, value, where, closed):
        others = [name for name in value if name not in schema.get("properties", {})]
        if wanted is False:
            return [f"{where}: member {name} is not in the contract" for name in others]
        return [text for name in others for text in self.check(wanted, value[name], f"{where}.{name}", closed)]

    def _items(self, schema, wanted, value, where, closed):
        return [text for i, one in enumerate(value) for text in self.check(wanted, one, f"{where}[{i}]", closed)]

    def _oneOf(self, schema, wanted, value, where, closed):
        tries = [self.check(part, value, where, closed) for part in wanted]
        if len([t for t in tries if not t]) == 1:
            return []
        return [f"{where}: {value!r:.80} fits not just one of {len(tries)} forms"] + min(tries, key=len)

    def _minimum(self, schema, wanted, value, where, closed):
        return [] if value >= wanted else [f"{where}: {value} is under {wanted}"]

    def _maximum(self, schema, wanted, value, where, closed):
        return [] if value <= wanted else [f"{where}: {value} is over {wanted}"]

    def _exclusiveMinimum(self, schema, wanted, value, where, closed):
        return [] if value > wanted else [f"{where}: {value} is not over {wanted}"]

    def _minLength(self, schema, wanted, value, where, closed):
        return [] if len(value) >= wanted else [f"{where}: shorter than {wanted}"]

    def _maxLength(self, schema, wanted, value, where, closed):
        return [] if len(value) <= wanted else [f"{where}: longer than {wanted}"]

    def _minProperties(self, schema, wanted, value, where, closed):
        return [] if len(value) >= wanted else [f"{where}: fewer than {wanted} members"]

    def _pattern(self, schema, wanted, value, where, closed):
        return [] if re.search(wanted, value) else [f"{where}: {value!r} does not fit {wanted}"]
