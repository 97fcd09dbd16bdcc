"""Runs what the documentation shows: C++ blocks are compiled and run, sessions with the tool are typed in again.

C++ (README.md and docs/): a block after `<!-- from PATH -->` stands for that whole program, which docs_links_test.py
compares with it; a block after `<!-- fragment -->` is the body of a function and its syntax is checked; any other block
is a program. Programs are built against an installed vectolith, as a stranger's would be, and must exit with 0.

Sessions (README.md and docs/): in a ```console block, lines that start with `$ ` are commands, the others what they
print, standard error included. `...` stands for any lines. A command exits with 0, unless `$ echo $?` follows it and
shows another code. In a ```sh block that calls `vectolith`, every line is a command. The blocks of a page run one after
the other in one empty directory. Numbers, sizes and hexadecimal strings differ from run to run: only their places count.

usage: docs_run_test.py --tool VECTOLITH --build BUILD_DIR --compiler CXX [--sanitize S] [--root DIR] | --self-test
"""

import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^(?:<!-- (?P<marker>[^\n]*?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
CALLS_TOOL = re.compile(r"^vectolith ", re.MULTILINE)
VARIABLE = re.compile(r"[0-9a-f]{16,}|\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?: [KMGT]?i?B\b)?")
FRAGMENT = "#include <vectolith/control.h>\n#include <vectolith/store.h>\n#include <vectolith/verify.h>\n" \
           "[[maybe_unused]] static void fragment() {\n%s}\n"


def blocks(root):
    """Yields (place, language, marker, text) of each code block of README.md and docs/."""
    for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        content = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(content):
            line = content.count("\n", 0, match.start("language")) + 1
            yield (page.relative_to(root), line), match["language"], match["marker"], match["text"]


def run(command, **options):
    """Exit code, as a shell gives it, and everything printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300, **options)
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return code, done.stdout.decode(errors="replace")


class Programs:
    """Builds and runs C++ blocks against an install of vectolith."""

    def __init__(self, root, options, work):
        self.root, self.work = root, work
        self.compiler = [options.compiler, "-std=c++23"]
        if options.sanitize:
            self.compiler.append("-fsanitize=" + options.sanitize)
        code, log = run(["cmake", "--install", options.build, "--prefix", work / "installed", "--component", "vectolith"])
        assert code == 0, log
        package = next((work / "installed").rglob("vectolith.pc")).parent
        _, flags = run(["pkg-config", "--cflags", "--libs", "vectolith"], env={**os.environ, "PKG_CONFIG_PATH": str(package)})
        self.flags = shlex.split(flags)

    def fault(self, marker, text):
        """Why a block does not compile or run, or None."""
        source, program = self.work / "block.cc", self.work / "block"
        if marker and marker.startswith("from "):
            text = (self.root / marker.removeprefix("from ")).read_text(encoding="utf-8")
        source.write_text(FRAGMENT % text if marker == "fragment" else text, encoding="utf-8")
        output = ["-fsyntax-only"] if marker == "fragment" else ["-o", program]
        code, log = run([*self.compiler, source, *self.flags, *output])
        if code != 0:
            return "does not compile\n" + log
        if marker == "fragment":
            return None
        with tempfile.TemporaryDirectory(dir=self.work) as directory:
            code, log = run([program], cwd=directory)
        return None if code == 0 else f"exits with {code}\n{log}"


def commands(language, text):
    """Yields (line, command, expected output or None) of a session."""
    if language == "sh":
        for line, command in enumerate(text.replace("\\\n", "  ").splitlines(), 1):
            yield line, command, None
        return
    command, expected, start = "", [], 0
    for line, content in enumerate([*text.splitlines(), "$ "], 1):
        if command.endswith("\\"):
            command = command[:-1] + content
        elif content.startswith("$ "):
            if command:
                yield start, command, expected
            command, expected, start = content[2:], [], line
        else:
            expected.append(content)


def masked(line):
    return VARIABLE.sub("#", line.rstrip())


def same(expected, printed):
    """Whether `printed` has the lines of `expected`, where `...` stands for any number of lines."""
    parts = [[]]
    for line in expected:
        if line.strip() == "...":
            parts.append([])
        else:
            parts[-1].append(masked(line))
    pattern = "(?:.*\n)*?".join("".join(re.escape(line) + "\n" for line in part) for part in parts)
    # Where io_uring is forbidden, each command says once that it goes on without.
    lines = [masked(line) + "\n" for line in printed.splitlines() if not line.startswith("vectolith: note: io_uring")]
    return re.fullmatch(pattern, "".join(lines)) is not None


def session_faults(language, text, tool, directory):
    """Runs one block; yields (line in the block, reason)."""
    binaries = directory / ".bin"
    if not binaries.exists():
        binaries.mkdir()
        (binaries / "vectolith").symlink_to(tool)
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "TMPDIR": str(directory)}
    session = list(commands(language, text))
    for (line, command, expected), following in zip(session, [*session[1:], (0, "", [])]):
        if command == "echo $?":
            continue
        code, printed = run(["bash", "-c", command], cwd=directory, env=environment)
        wanted = int(following[2][0]) if following[1] == "echo $?" else 0
        if code != wanted:
            yield line, f"'{command}' exits with {code}, not {wanted}:\n{printed}"
        elif expected is not None and not same(expected, printed):
            yield line, f"'{command}' prints something else:\n{printed}"


def check(root, tool, programs):
    """All findings in the pages below `root`; C++ is left out if `programs` is None."""
    findings, directories = [], {}
    with tempfile.TemporaryDirectory(prefix="vectolith-docs-") as temporary:
        for (page, line), language, marker, text in blocks(root):
            if language == "cpp" and programs is not None:
                fault = programs.fault(marker, text)
                if fault:
                    findings.append(f"{page}:{line}: {fault}")
            elif language == "console" or (language == "sh" and CALLS_TOOL.search(text)):
                directory = directories.setdefault(page, pathlib.Path(temporary, str(len(directories))))
                directory.mkdir(exist_ok=True)
                findings += [f"{page}:{line + at}: {reason}"
                             for at, reason in session_faults(language, text, tool, directory)]
    return findings


FAKE_TOOL = """#!/bin/sh
case $1 in
  say) shift; echo "$@";;
  fail) echo "vectolith: no" >&2; exit 2;;
esac
"""
GOOD = """# Page
```console
$ vectolith say 17 rows, \\
  1.5 MiB
3 rows, 200 KiB
$ vectolith fail
vectolith: no
$ echo $?
2
$ for i in 1 2 3; do echo "line $i"; echo $i > file; done
line 1
...
```
```sh
vectolith say the same directory
test -f file
```
```sh
cmake this is not run
```
"""
BAD = [
    ("```console\n$ vectolith fail\nvectolith: no\n```\n", ":2: 'vectolith fail' exits with 2, not 0"),
    ("```console\n$ vectolith say x\nx\n$ echo $?\n4\n```\n", ":2: 'vectolith say x' exits with 0, not 4"),
    ("```console\n$ vectolith say x\n$ vectolith say y\nz\n```\n", ":2: 'vectolith say x' prints something else"),
    ("```console\n$ vectolith say x\nx\n...\ny\n```\n", ":2: 'vectolith say x' prints something else"),
    ("\n```sh\nvectolith say x\nvectolith fail\n```\n", ":4: 'vectolith fail' exits with 2, not 0"),
]
GOOD_CPP = [("fragment", "vectolith::Key key;\n(void)key;\n"), (None, "int main() { return 0; }\n")]
BAD_CPP = [("fragment", "vectolith::Kez key;\n", "does not compile"), (None, "int main() { return 3; }\n", "exits with 3")]


def self_test(programs):
    failures = []
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        (root / "docs").mkdir()
        tool = root / "tool"
        tool.write_text(FAKE_TOOL)
        tool.chmod(0o755)
        for text, expected in [(GOOD, None), *BAD]:
            (root / "README.md").write_text(text)
            found = check(root, tool, None)
            if bool(expected) != bool(found) or (expected and expected not in found[0]):
                failures.append(f"{text}expected {expected}, found {found}")
    for marker, text, expected in [*((*good, None) for good in GOOD_CPP), *BAD_CPP]:
        fault = programs.fault(marker, text)
        if bool(expected) != bool(fault) or (expected and expected not in fault):
            failures.append(f"{text}expected {expected}, found {fault}")
    return failures


def main():
    arguments = argparse.ArgumentParser(usage=__doc__.rsplit("usage: ", 1)[1])
    for name in ("--tool", "--build", "--compiler"):
        arguments.add_argument(name, required=True)
    arguments.add_argument("--sanitize", default="")
    arguments.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[1])
    arguments.add_argument("--self-test", action="store_true", help="show that the check can fail")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="vectolith-docs-") as work:
        programs = Programs(options.root, options, pathlib.Path(work))
        failures = self_test(programs) if options.self_test else check(options.root, options.tool, programs)
    for failure in failures:
        print(failure)
    if not failures:
        print(f"{len(BAD) + len(BAD_CPP)} bad pages were found out" if options.self_test else "no finding")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
