#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The READMEs: each folder that a newcomer opens has one, every link and every path that they name is there, those of core/
name each file of their folder, and the top holds the folders of the design only. The checker is tried on a bad tree first."""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from tap import finish, ok

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = {"Makefile", "README.md", "contrib", "core", "include", "plugins", "scripts", "t"}
# what tests and builds leave, and what goes with a checkout
OPTIONAL = {"LICENSE", "NOTICE", "CHANGES.md"}
OPENED = ["", "core", "core/*", "core/flows/*", "include", "plugins", "plugins/*", "scripts", "t", "contrib"]
# a path in a README counts as one where its first part is at the top or beside the README
PATH = re.compile(r"^[A-Za-z0-9_./*\[\]-]+$")
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")


def folders(root):
    for pattern in OPENED:
        if pattern.endswith("/*"):
            base = pattern[:-2]
            if os.path.isdir(os.path.join(root, base)):
                yield from (f"{base}/{name}" for name in sorted(os.listdir(os.path.join(root, base)))
                            if os.path.isdir(os.path.join(root, base, name)))
        elif os.path.isdir(os.path.join(root, pattern)):
            yield pattern


def readmes(root):
    for path, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith(".") and name != "__pycache__")
        for name in files:
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(path, name), root)


def exists(root, base, target):
    """A path as READMEs write it: from the top, from beside the README, or in core/ as includes are written."""
    for start in (base, "", "core", "include"):
        whole = os.path.normpath(os.path.join(root, start, target))
        if os.path.exists(whole):
            return True
    return False


def looks_like_path(root, base, word):
    """Only what begins with a folder of ours is taken for one: `docker/create` of the API is none."""
    first = word.split("/")[0]
    return bool(PATH.match(word)) and "/" in word and "*" not in word and "[" not in word and first not in ("", ".", "..") and \
        (first in TOP or os.path.isdir(os.path.join(root, base, first)) or os.path.isdir(os.path.join(root, "core", first))) and \
        "NAME" not in word and "NNNN" not in word


def unnamed(root, folder, text):
    """Sources of core/FOLDER that its README does not name, and what it names that is none. `lib_*.c` names all of these."""
    files = sorted(name for name in os.listdir(os.path.join(root, folder)) if name.endswith((".c", ".h")))
    words = re.findall(r"`([a-z_0-9*]+)(\.c|\.h|\.\[ch\])?`", text)
    patterns = [re.compile(word.replace("*", ".*")) for word, _ in words]
    for name in files:
        if name.endswith(".c") and not any(pattern.fullmatch(name[:-2]) for pattern in patterns):
            yield f"{folder}/README.md: {name} is not named"
    for (word, suffix), pattern in zip(words, patterns):
        if suffix not in ("", ".h") and not any(pattern.fullmatch(name[:-2]) for name in files) and not os.path.exists(os.path.join(root, "core", word + suffix)):
            yield f"{folder}/README.md: there is no {word}{suffix}"


def check(root):
    found = []
    for name in sorted(os.listdir(root)):
        if not name.startswith(".") and name not in TOP | OPTIONAL:
            found.append(f"{name}: not of the design's list at the top")
    for name in sorted(TOP):
        if not os.path.exists(os.path.join(root, name)):
            found.append(f"{name}: missing at the top")
    for folder in folders(root):
        if not os.path.exists(os.path.join(root, folder, "README.md")):
            found.append(f"{folder or '.'}: no README.md")
    targets = set()
    if os.path.exists(os.path.join(root, "Makefile")):
        with open(os.path.join(root, "Makefile")) as file:
            targets = {word for line in re.findall(r"^([a-z][a-z -]*):(?!=)", file.read(), re.M) for word in line.split()}
    for path in readmes(root):
        base = os.path.dirname(path)
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        if re.fullmatch(r"core/[a-z]+(/[a-z]+)?/README\.md", path):
            found += unnamed(root, base, text)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not re.match(r"[a-z]+:", target) and not os.path.exists(os.path.join(root, base, target)):
                found.append(f"{path}: link to {target} leads nowhere")
        for word in re.findall(r"`([^`\n]+)`", text):
            word = word.split(" ")[0].rstrip("/")
            if looks_like_path(root, base, word) and not exists(root, base, word):
                found.append(f"{path}: `{word}` is not there")
        code = "\n".join(re.findall(r"^```.*?^```", text, re.M | re.S) + re.findall(r"`[^`\n]+`", text))
        for target in MAKE.findall(code):
            if target not in targets:
                found.append(f"{path}: `make {target}` is no target")
    return found


def write(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
    with open(os.path.join(root, path), "w") as out:
        out.write(text)


GOOD = {
    "README.md": "[core](core/README.md) [far](https://example.org/x) `core/base/a.c` `make all` `t/NNNN-x.c` `base/a.c` `/etc/x`\n",
    "Makefile": "all: x\nX := 1\n", "core/README.md": "[up](../README.md#part) `base/`\n", "core/base/README.md": "`a.c` `lib_*.c`\n", "core/base/a.c": "", "core/base/lib_x.c": "",
    "include/README.md": "a\n", "plugins/README.md": "`plugins/NAME/t/`\n", "plugins/x/README.md": "a\n", "scripts/README.md": "a\n",
    "t/README.md": "`make all X=1` and make noise\n", "contrib/README.md": "a\n", ".hidden/x": "",
}
BAD = [
    ("stray/x.c", "", "stray: not of the design's list at the top"),
    ("core/flows/a.c", "", "core/flows: no README.md"),
    ("plugins/y/plugin.c", "", "plugins/y: no README.md"),
    ("t/README.md", "[a](b.md)\n", "t/README.md: link to b.md leads nowhere"),
    ("contrib/README.md", "see `core/base/b.c`\n", "contrib/README.md: `core/base/b.c` is not there"),
    ("scripts/README.md", "see `scripts/none/` and\n", "scripts/README.md: `scripts/none` is not there"),
    ("core/http/README.md", "`gone.c` and `here`", "core/http/README.md: there is no gone.c"),
    ("core/http/there.c", "", "core/http/README.md: there.c is not named"),
    ("core/http/here.c", "", None),
    ("core/flows/x/README.md", "what is here\n", None),
    ("core/flows/x/there.c", "", "core/flows/x/README.md: there.c is not named"),
    ("core/README.md", "see `base/none.c`\n", "core/README.md: `base/none.c` is not there"),
    ("README.md", "```\nmake haste\n```\n", "README.md: `make haste` is no target"),
]

with tempfile.TemporaryDirectory(prefix="gantry-docs-") as tree:
    for path, text in GOOD.items():
        write(tree, path, text)
    found = check(tree)
    ok(not found, "a good tree passes", *found)
    os.rename(f"{tree}/contrib", f"{tree}/.contrib")
    ok("contrib: missing at the top" in check(tree), "a folder that is missing is found")
    os.rename(f"{tree}/.contrib", f"{tree}/contrib")
    for path, text, _ in BAD:
        write(tree, path, text)
    found = check(tree)
    wanted = [want for _, _, want in BAD if want]
    for want in wanted:
        ok(want in found, f"{want} is found", *found)
    ok(len(found) == len(wanted), "and nothing else", *found)

count = len(list(readmes(ROOT)))
ok(count >= 15, f"this tree has READMEs to check ({count})")
found = check(ROOT)
ok(not found, "links, paths, targets and folders of this tree are right", *found)
with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
    lines = file.read().splitlines()
ok(len(lines) <= 90, f"README.md is one page ({len(lines)} lines)")

finish()
