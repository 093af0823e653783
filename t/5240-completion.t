#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is printed from the tables of commands and options: completion, tried by the shells that are there, and manual pages."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import *

GANTRYD = os.path.join(os.path.abspath(BUILD), "gantryd")
INSTANCES = ("GET", "/v1/instances")


def run(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, **options)


def commands(gantry):
    text = gantry("help").out
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", text[text.index("Commands:"):text.index("Options")], re.M)


def options(text):
    """(long name, value, meaning) of each row of a help."""
    return re.findall(r"^  (?:-\w, |    )?--([a-z-]+) ?(\S*) +(\S.*)$", text, re.M)


def complete(gantry, *words):
    """What is offered for the last word: {word: meaning}."""
    result = gantry("complete", "--", *words)
    if (result.status, result.err) != (0, ""):
        say(f"complete {words}: {result!r}")
        return None
    return dict(line.partition("\t")[::2] for line in result.out.splitlines())


def tables(gantry):
    names = commands(gantry)
    firsts = complete(gantry, "")
    equal(sorted(firsts), sorted({name.split()[0] for name in names}), "each command is offered")
    wrong = [name for name in names if " " in name and name.split()[1] not in complete(gantry, name.split()[0], "")]
    equal(wrong, [], "and the second words of those that have two")
    wrong = []
    for name in names:
        want = {f"--{option}": meaning.replace(" (a list)", "") for option, _, meaning in options(gantry("help", *name.split()).out)}
        got = complete(gantry, *name.split(), "-")
        if not want or got != want:
            wrong.append((name, sorted(set(want.items()) ^ set(got.items()))))
    equal(wrong, [], "each option of each command, with its meaning")
    wrong = [row[4] for row in spec_rows() if row[4] and "--" + row[4] not in complete(gantry, "run", "--")]
    equal(wrong, [], "each option of the spec's table")
    has(str(complete(gantry, "--")), "--host", "options before the command")


def values(fake, gantry):
    fake.answers[INSTANCES] = (200, {"instances": [
        {"name": "web", "project": "shop", "image": "nginx"}, {"name": "worker", "project": "shop", "image": "a\tb\x1b"}, {"name": "db", "project": "x"}]})
    fake.answers[("GET", "/v1/nodes")] = (200, {"nodes": [{"name": "north", "state": "up"}, {"name": "south", "state": "down"}]})
    fake.answers[("GET", "/v1/images")] = (200, {"images": [{"tags": ["busybox:latest", "busybox:1"]}, {"tags": []}, {"tags": ["busybox:1"]}]})
    fake.answers[("GET", "/v1/operations")] = (200, {"operations": [{"id": "1111", "kind": "pull"}]})
    for words, want in (
            (["stop", "w"], {"web": "nginx", "worker": "a?b?"}),
            (["stop", "web", "wo"], {"worker": "a?b?"}),
            (["top", "web", "w"], {}),
            (["wait", "--", "d"], {"db": ""}),
            (["ps", "--node", "s"], {"south": "down"}),
            (["ps", "--node=s"], {"--node=south": "down"}),
            (["ps", "--project="], {"--project=shop": "", "--project=x": ""}),
            (["node", "show", "north", "no"], {"north": "up"}),
            (["ps", "--state", "ru"], {"running": ""}),
            (["ps", "--state", "paused,un"], {"paused,unknown": ""}),
            (["run", "-d", "busy"], {"busybox:latest": "", "busybox:1": ""}),
            (["run", "-d", "busybox", "-"], {":files": ""}),
            (["run", "-d", "--", "-"], {}),
            (["run", "--log-driver", ""], {"local": "", "json-file": ""}),
            (["run", "--detach="], {}),
            (["run", "--network", "h"], {"host": ""}),
            (["run", "--env-file", ""], {":files": ""}),
            (["kill", "-s", "US"], {"USR1": "", "USR2": ""}),
            (["policy", "check", ""], {":files": ""}),
            (["policy", "explain", "d"], {"db": ""}),
            (["ops", ""], {"1111": "pull"}),
            (["help", "node", "l"], {"ls": "list nodes"}),
            (["completion", ""], {"bash": "", "zsh": "", "fish": ""}),
            (["--host"], {"--host": dict(((o, m) for o, _, m in options(gantry("help", "ps").out)))["host"]}),
            (["--host", ""], {}),
            (["nonsense", ""], {}), (["--nonsense", "ps", "--qu"], {"--quiet": "ids only"}),
            (["node", "nonsense", ""], {}), (["images", ""], {})):
        equal(complete(gantry, *words), want, f"completes {' '.join(words)!r}")
    fake.take()
    complete(gantry, "stop", "--project", "shop", "")
    equal([request.target for request in fake.take()], ["/v1/instances?project=shop"], "the project of the line is asked for")
    equal(complete(gantry, "--host", "/nowhere/s", "stop", ""), {}, "another host of the line; where nobody is: nothing, and no word of it")
    fake.answers[INSTANCES] = (500, problem(500, "no"))
    equal(complete(gantry, "stop", ""), {}, "an error of gantryd: nothing")
    fake.answers[INSTANCES] = (200, b"[1, {\"instances\": 3}]", "application/json")
    equal(complete(gantry, "stop", ""), {}, "an answer that makes no sense: nothing")
    fake.answers[INSTANCES] = (200, {"instances": [3, {"name": 3}, {"name": "a"}]})
    equal(complete(gantry, "stop", ""), {"a": ""}, "items that make no sense are passed over")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.join(fake.folder, "mute"))
        server.listen()
        begin = time.monotonic()
        equal(complete(gantry, "--host", os.path.join(fake.folder, "mute"), "stop", ""), {}, "a gantryd that does not answer: nothing")
        took = time.monotonic() - begin
        ok(took < (20 if VG else 5), f"and soon ({took:.1f} s)")
    equal(gantry("completion", "csh").status, 2, "a shell that we do not know")
    fake.answers[INSTANCES] = (200, {"instances": [{"name": "web", "image": "nginx:1"}, {"name": "worker", "image": "b"}]})


class Shell:
    """An interactive shell on a terminal."""

    def __init__(self, gantry, home, *words):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, close_fds=True,
                                        env={**gantry.environment, "PATH": os.path.dirname(GANTRY) + ":" + os.environ["PATH"], "PS1": "> ",
                                             "TERM": "dumb", "HOME": home})
        os.close(slave)
        self.seen = b""

    def type(self, text, want):
        """Whether the terminal shows want after text was typed. What was seen by then is past."""
        os.write(self.master, text.encode())
        end = time.monotonic() + LIMIT / 3
        while want.encode() not in self.seen and time.monotonic() < end:
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    break
        found, seen = want.encode() in self.seen, self.seen
        self.seen = self.seen.partition(want.encode())[2]
        if not found:
            say(f"typed {text!r}, wanted {want!r}, the terminal had {seen[-600:]!r}")
        return found

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


# typed, and what the shell makes of it; ^U takes the line away
LINES = (("gantry node sh\t", "gantry node show "), ("gantry run --log-dri\t", "gantry run --log-driver "),
         ("gantry run --network=ho\t", "gantry run --network=host"), ("gantry run busybox:la\t", "gantry run busybox:latest"),
         ("gantry stop we\t", "gantry stop web "), ("gantry ps --node so\t", "gantry ps --node south "),
         ("gantry policy check /etc/passw\t", "gantry policy check /etc/passwd"))


def shells(gantry, home):
    for name, start, prepare in (
            ("bash", ["bash", "--norc", "--noprofile", "-i"], "bind 'set bell-style none'; . <(gantry completion bash)"),
            ("zsh", ["zsh", "-f", "-i"], "setopt nobeep; autoload -U compinit; compinit -u -D; . <(gantry completion zsh)")):
        if not shutil.which(name):
            skip(1, f"{name} is not installed")
            continue
        script = gantry("completion", name)
        equal(run(name, "-n", input=script.out).stderr, "", f"{name} takes the script")
        shell = Shell(gantry, home, *start)
        ok(shell.type(prepare + "; echo rea''dy\n", "ready"), f"{name} reads it")
        for typed, want in LINES:
            ok(shell.type(typed, want), f"{name}: {typed.strip()} becomes {want.strip()}")
            shell.type("\x15\x15echo ne''xt\n", "next")
        shell.close()
    if not shutil.which("fish"):
        skip(1, "fish is not installed")
        return
    for typed, want in (("gantry node sh", "show\tshow all about a node"), ("gantry run --log-dri", "--log-driver\tform in which the engine keeps the log"),
                        ("gantry run --network=ho", "--network=host"), ("gantry stop we", "web\tnginx:1"), ("gantry ps --node so", "south\tdown"),
                        ("gantry policy check /etc/passw", "/etc/passwd")):
        result = run("fish", "--no-config", "-c", f"gantry completion fish | source; complete -C '{typed}'",
                     env={**gantry.environment, "PATH": os.path.dirname(GANTRY) + ":" + os.environ["PATH"], "HOME": home})
        ok(want in result.stdout.splitlines(), f"fish: {typed}", result.stdout + result.stderr)


def plain(roff):
    """The text of a page of ours, its lines joined."""
    roff = re.sub(r"^\.(SH|SS) \"(.*)\"$", r"\2", roff, flags=re.M)
    roff = re.sub(r"^\.(PP|TP|nf|fi|TH.*)$", "", roff, flags=re.M)
    roff = re.sub(r"\\f[BIR]|\\&", "", roff)
    roff = re.sub(r"\\\[u([0-9A-F]{4})\]", lambda match: chr(int(match[1], 16)), roff)
    for escape, char in (("\\-", "-"), ("\\(dq", '"'), ("\\(aq", "'"), ("\\(ga", "`"), ("\\(ha", "^"), ("\\(ti", "~"), ("\\e", "\\")):
        roff = roff.replace(escape, char)
    return " ".join(roff.split())


def manuals(gantry):
    pages = {"gantry.1": gantry("help", "--man").out, "gantryd.8": run(GANTRYD, "--man").stdout,
             "gantry.lua.5": run(GANTRYD, "--options", "--man").stdout}
    built = os.path.join(os.path.abspath(BUILD), "man")
    for name, page in pages.items():
        with open(os.path.join(built, name)) as file:
            equal(re.sub(r"^\.TH.*\n", "", file.read()), re.sub(r"^\.TH.*\n", "", page), f"{name} is built as it is printed")
        if not shutil.which("mandoc"):
            skip(1, f"{name}: mandoc is not installed")
            continue
        result = run("mandoc", "-Tlint", "-Wwarning", input=page)
        equal((result.returncode, result.stdout), (0, ""), f"{name}: mandoc has nothing to say")
    text = plain(pages["gantry.1"])
    wrong = []
    for name in commands(gantry):
        help_text = gantry("help", *name.split()).out
        for option, value, meaning in options(help_text):
            if f"--{option} {value + ' ' if value else ''}{meaning}" not in text:
                wrong.append((name, option))
        usage, _, summary = help_text.partition("\n\n")
        for part in (usage.replace("Usage: ", ""), summary.partition("\n\n")[0]):
            if " ".join(part.split()) not in text:
                wrong.append((name, part))
    equal(wrong, [], "gantry(1) has each command with its usage, summary and options")
    for row in re.findall(r"^  (\d)  (.*)$", gantry("help").out, re.M):
        has(text, " ".join(row), f"and exit status {row[0]}")
    text = plain(pages["gantryd.8"])
    rows = options(run(GANTRYD, "--help").stdout)
    ok(len(rows) > 8, f"gantryd has {len(rows)} options")
    equal([row for row in rows if f"--{row[0]} {row[1] + ' ' if row[1] else ''}{row[2]}" not in text], [], "each is in gantryd(8)")
    text = plain(pages["gantry.lua.5"])
    lines = run(GANTRYD, "--options").stdout.splitlines()
    ok(len(lines) > 40, f"gantryd --options has {len(lines)} lines")
    equal([line for line in lines if line.startswith(" ") and " ".join(line.split()) not in text], [], "each key is in gantry.lua(5)")
    day = gantry("help", "--man", env={"SOURCE_DATE_EPOCH": "86400"}).out
    has(day.splitlines()[0], "1970-01-02", "SOURCE_DATE_EPOCH gives the date")
    equal(gantry("help", "--man", "run").status, 2, "there is no page of one command")


with Fake() as fake:
    gantry = Command(fake.host)
    tables(gantry)
    values(fake, gantry)
    shells(gantry, fake.folder)
    manuals(gantry)
finish()
