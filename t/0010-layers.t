#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The house's borders: every #include points downward, libraries are included where they belong only,
plugins see gantry/ alone, and each public header compiles by itself. The checker is tried on a bad tree first."""
import os
import re
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from tap import finish, ok

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The layers of core/: an include may point to the same folder or to one of a lower number.
LAYERS = {"base": 0, "loop": 1, "http": 2, "store": 2, "model": 2, "script": 3, "plugin": 3, "flows": 4, "api": 5}
CTL = {"ctl", "base"}  # the command knows base/ and the HTTP API, never the daemon
# Libraries: header (a pattern) → what may include it. A plugin takes json-c and libraries of its own.
LIBRARIES = [
    (r"lua\.h|lualib\.h|lauxlib\.h|lua5\.4/.*", ["core/script/"]),
    (r"llhttp\.h", ["core/http/"]),
    (r"openssl/.*", ["core/http/"]),
    (r"wslay/.*", ["core/http/", "core/ctl/"]),
    (r"sqlite3\.h", ["core/store/"]),
    (r"curl/.*", ["core/loop/", "core/ctl/"]),
    (r"uv\.h|uv/.*", ["core/loop/", "core/http/"]),
    (r"json-c/.*|json\.h", ["core/base/json.h", "plugins/"]),
    (r"dlfcn\.h", ["core/plugin/"]),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)


def sources(root, folders):
    for folder in folders:
        for path, _, files in os.walk(os.path.join(root, folder)):
            for name in files:
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(path, name), root)


def judge_core(path, target, ours):
    """What is wrong with core/…'s include of one of ours; None."""
    parts = path.split("/")
    if not ours:
        return None
    to = target.split("/")[0]
    if target.startswith("gantry/"):
        return None
    if len(parts) == 2:  # core/main.c joins them all
        return "the daemon does not know the command" if to == "ctl" else None
    layer = parts[1]
    if layer == "ctl":
        return None if to in CTL else "ctl/ may include ctl/ and base/ only"
    if to == layer:
        return None
    if layer not in LAYERS:
        return f"core/{layer} is no layer of the design"
    if to not in LAYERS:
        return f"{to}/ is no layer of the design"
    if LAYERS[to] >= LAYERS[layer]:
        return f"{layer}/ (layer {LAYERS[layer]}) may not include {to}/ (layer {LAYERS[to]})"
    return None


def judge(root, path, quote, target):
    where = path.split("/")
    if where[0] == "plugins":
        if target.startswith("gantry/"):
            return None
        if quote == '"' and len(where) > 3 and where[2] == "t":  # a plugin's own tests see the plugin, and t/
            if os.path.normpath(os.path.join(os.path.dirname(path), target)).startswith((f"plugins/{where[1]}/", "t/")):
                return None
        if quote == '"' and os.path.exists(os.path.join(root, os.path.dirname(path), target)):
            return None if ".." not in target else "a plugin keeps to its own folder"
        if os.path.exists(os.path.join(root, "core", target)) or ".." in target or target.startswith("core/"):
            return "a plugin may not include core/"
        if quote == '"' and not (len(where) > 3 and where[2] == "t"):
            return "not found in the plugin's folder"
        return None
    if where[0] == "include":
        if target.startswith("gantry/"):
            return None
        if os.path.exists(os.path.join(root, "core", target)) or quote == '"':
            return "a public header may include gantry/ and the C library only"
    ours = quote == '"' or target.startswith("gantry/") or os.path.exists(os.path.join(root, "core", target))
    if ".." in target:
        return "includes are written from core/ on"
    if quote == '"' and where[0] == "core" and not os.path.exists(os.path.join(root, "core", target)) \
            and not os.path.exists(os.path.join(root, "include", target)):
        return "includes of ours are written from core/ on, others in <>"
    return judge_core(path, target, ours) if where[0] == "core" else None


def check(root):
    problems = []
    for path in sources(root, ["core", "plugins", "include"]):
        with open(os.path.join(root, path), encoding="utf-8") as source:
            text = source.read()
        for quote, target in INCLUDE.findall(text):
            problem = judge(root, path, quote, target)
            if not problem:
                for pattern, allowed in LIBRARIES:
                    if re.fullmatch(pattern, target) and not path.startswith(tuple(allowed)) \
                            and not (path.startswith("plugins/") and pattern.startswith(("curl", "uv"))):
                        problem = f"only {', '.join(allowed)} may include it"
            if problem:
                problems.append(f"{path}: {target}: {problem}")
    return sorted(problems)


# What the checker must find in a tree made up for it, and what it must let pass.
BAD = {
    "core/base/a.c": ('"loop/loop.h"', "layer 0"),
    "core/loop/a.c": ('"http/server.h"', "layer 1"),
    "core/http/a.c": ('"store/store.h"', "layer 2"),
    "core/script/a.c": ('"plugin/loader.h"', "layer 3"),
    "core/flows/a.c": ('"api/api.h"', "layer 4"),
    "core/odd/a.c": ('"base/str.h"', "no layer"),
    "core/ctl/a.c": ('"flows/flow.h"', "ctl/ and base/"),
    "core/api/a.c": ("<sqlite3.h>", "core/store/"),
    "core/api/b.c": ("<openssl/ssl.h>", "core/http/"),
    "plugins/docker/a.c": ("<openssl/ssl.h>", "core/http/"),
    "core/api/c.c": ("<json-c/json.h>", "core/base/json.h"),
    "core/flows/d.c": ("<lua.h>", "core/script/"),
    "core/api/e.c": ("<curl/curl.h>", "core/loop/"),
    "core/store/f.c": ("<uv.h>", "core/loop/"),
    "core/api/g.c": ('"../base/str.h"', "from core/ on"),
    "core/api/h.c": ("<flows/../api/api.h>", "from core/ on"),
    "core/flows/i.c": ("<dlfcn.h>", "core/plugin/"),
    "core/base/j.c": ("<loop/loop.h>", "layer 0"),
    "core/main.c": ('"ctl/ctl.h"', "does not know"),
    "plugins/x/a.c": ('"base/str.h"', "core/"),
    "plugins/x/b.c": ('"../y/y.h"', ""),
    "plugins/x/c.c": ('"../../core/base/str.h"', "core"),
    "plugins/x/d.c": ("<sqlite3.h>", "core/store/"),
    "include/gantry/a.h": ('"base/str.h"', "public header"),
    "include/gantry/b.h": ("<json-c/json.h>", "core/base/json.h"),
    "include/gantry/c.h": ("<loop/loop.h>", "public header"),
}
GOOD = {
    "core/base/json.h": "<json-c/json.h>", "core/base/str.h": "<string.h>", "core/loop/loop.h": "<uv.h>", "core/http/server.h": '"loop/loop.h"',
    "core/store/store.h": "<sqlite3.h>", "core/plugin/loader.h": "<dlfcn.h>", "core/flows/flow.h": '"plugin/loader.h"',
    "core/api/api.h": '"flows/flow.h"', "core/ctl/ctl.h": '"base/str.h"', "core/api/ok.c": "<gantry/error.h>",
    "include/gantry/error.h": "<errno.h>", "plugins/x/own.c": '"own.h"', "plugins/x/own.h": "<json-c/json.h>", "plugins/y/y.h": "<gantry/error.h>",
}


def write(root, path, include):
    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
    with open(os.path.join(root, path), "w") as out:
        out.write(f"#include {include}\n")


def compiles(header, include, folder):
    command = shlex.split(os.environ.get("CC", "gcc")) + ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", f"-I{include}",
                                                         "-fsyntax-only", "-x", "c", "-"]
    run = subprocess.run(command, input=f"#include <gantry/{header}>\n#include <gantry/{header}>\n", capture_output=True, text=True, cwd=folder)
    return run.returncode == 0, run.stderr


with tempfile.TemporaryDirectory(prefix="gantry-layers-") as tree:
    for path, include in GOOD.items():
        write(tree, path, include)
    found = check(tree)
    ok(not found, "a good tree passes", *found)
    for path, (include, _) in BAD.items():
        write(tree, path, include)
    found = check(tree)
    for path, (include, part) in BAD.items():
        lines = [line for line in found if line.startswith(f"{path}: ")]
        ok(len(lines) == 1 and part in lines[0], f"{path} with {include} is found", *lines)
    ok(all(line.split(":")[0] in BAD for line in found), "and nothing else", *found)
    write(tree, "include/gantry/alone.h", "<errno.h>")
    with open(f"{tree}/include/gantry/alone.h", "a") as out:
        out.write("struct gantry_alone { size_t unknown_here; uint64_t also; };\n")
    ok(not compiles("alone.h", f"{tree}/include", tree)[0], "a header that needs others to compile is found")

count = sum(1 for _ in sources(ROOT, ["core", "plugins", "include"]))
ok(count > 50, f"this tree has sources to check ({count})")
found = check(ROOT)
ok(not found, "every include of this tree points downward", *found)
headers = sorted(os.listdir(os.path.join(ROOT, "include/gantry")))
ok(headers, "there are public headers")
for header in headers:
    passed, text = compiles(header, os.path.join(ROOT, "include"), ROOT)
    ok(passed, f"gantry/{header} compiles alone, and twice", *text.splitlines())

finish()
