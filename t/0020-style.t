#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The form of the sources: licence line, no marks of unfinished work, no file that is too long, clang-format
where it is installed. The checker is tried on bad files first."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from tap import finish, ok, skip

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LICENCE = "SPDX-License-Identifier: Apache-2.0"
LINES = 700
# spelled so that this file does not hold them itself
MARKS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
FOLDERS = ["core", "plugins", "include", "scripts", "contrib", "t"]
CODE = (".c", ".h")
TEXT = CODE + (".t", ".py", ".lua", ".sh")


def tracked():
    """Files that git knows, and new ones it would take; all files where there is no git."""
    run = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", *FOLDERS, "Makefile"], cwd=ROOT,
                         capture_output=True, text=True)
    if run.returncode == 0:
        return [path for path in run.stdout.splitlines() if os.path.isfile(os.path.join(ROOT, path))]
    found = []
    for folder in FOLDERS:
        for path, _, files in os.walk(os.path.join(ROOT, folder)):
            found += [os.path.relpath(os.path.join(path, name), ROOT) for name in files]
    return found


def is_script(root, path):
    with open(os.path.join(root, path), "rb") as source:
        return source.read(2) == b"#!"


def problems(root, path):
    if not path.endswith(TEXT) and not is_script(root, path):
        return []
    with open(os.path.join(root, path), encoding="utf-8") as source:
        text = source.read()
    lines = text.splitlines()
    found = []
    if path.endswith(CODE) and (not lines or lines[0] != f"/* {LICENCE} */"):
        found.append(f"{path}:1: the first line is not /* {LICENCE} */")
    elif path.endswith((".t", ".py", ".lua")) and not any(LICENCE in line for line in lines[:2]):
        found.append(f"{path}:1: no {LICENCE} in the first two lines")
    for number, line in enumerate(lines, 1):
        if MARKS.search(line):
            found.append(f"{path}:{number}: a mark of unfinished work")
    if path.endswith(CODE) and len(lines) > LINES:
        found.append(f"{path}: {len(lines)} lines, over {LINES}")
    return found


def formatted(root, paths):
    run = subprocess.run(["clang-format", f"--style=file:{ROOT}/.clang-format", "--dry-run", "--Werror", *paths], cwd=root,
                         capture_output=True, text=True)
    return run.returncode == 0, sorted({line.split(":")[0] + ": not as clang-format has it" for line in run.stderr.splitlines()
                                        if "clang-format-violations" in line})


BAD = {
    "none.c": "int a;\n",
    "late.c": f"\n/* {LICENCE} */\nint a;\n",
    "mark.h": f"/* {LICENCE} */\n/* TO" + "DO: later */\n",
    "long.c": f"/* {LICENCE} */\n" + "int a;\n" * LINES,
    "none.t": "#!/usr/bin/python3\nprint(1)\n",
    "none.lua": "-- nothing\n",
}
GOOD = {"good.c": f"/* {LICENCE} */\n" + "int a;\n" * (LINES - 1), "good.t": f"#!/bin/sh\n# {LICENCE}\necho TODOS\n", "good.lua": f"-- {LICENCE}\n"}

with tempfile.TemporaryDirectory(prefix="gantry-style-") as tree:
    for name, text in {**BAD, **GOOD}.items():
        with open(os.path.join(tree, name), "w") as out:
            out.write(text)
    for name in BAD:
        found = problems(tree, name)
        ok(len(found) == 1, f"{name} is found", *found)
    for name in GOOD:
        found = problems(tree, name)
        ok(not found, f"{name} passes", *found)


def shared_numbers(paths):
    """Tests that are not alone with their number."""
    tests = [path for path in paths if re.fullmatch(r"\d{4}-[^/]*\.(c|t)", os.path.basename(path))]
    numbers = [os.path.basename(path)[:4] for path in tests]
    return [path for path, number in zip(tests, numbers) if numbers.count(number) > 1]


ok(shared_numbers(["t/1000-a.c", "t/1001-b.t", "plugins/x/t/1000-c.t"]) == ["t/1000-a.c", "plugins/x/t/1000-c.t"],
   "two tests of one number are found")
files = tracked()
found = shared_numbers(files)
ok(not found, "each test has a number of its own", *found)
ok(len(files) > 50, f"this tree has files to check ({len(files)})")
found = [line for path in files for line in problems(ROOT, path)]
ok(not found, "licence, marks and length are right everywhere", *found)

if shutil.which("clang-format"):
    with tempfile.TemporaryDirectory(prefix="gantry-style-") as tree:
        with open(os.path.join(tree, "crooked.c"), "w") as out:
            out.write("int  a ;\n")
        ok(not formatted(tree, ["crooked.c"])[0], "a crooked file is found")
    passed, found = formatted(ROOT, [path for path in files if path.endswith(CODE)])
    ok(passed, "every C file is as clang-format has it", *found)
else:
    skip(2, "clang-format is not installed")
finish()
