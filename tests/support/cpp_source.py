"""Reads C++ sources for the checks of the tree: blanks comments and literals, lists includes."""

import pathlib
import re
import tempfile

_TOKEN = re.compile(
    r'''//(?:[^\n\\]|\\.|\\\n)*            # line comment, continued by a backslash
      | /\*.*?\*/                          # block comment
      | \b(?:u8|u|U|L)?R"(?P<d>[^()\\\s]{0,16})\(.*?\)(?P=d)"   # raw string
      | "(?:[^"\\\n]|\\.)*"                # string
      | (?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+'   # character, but not a digit separator
    ''',
    re.DOTALL | re.VERBOSE,
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(<[^>\n]+>|"[^"\n]+")', re.MULTILINE)

SUFFIXES = (".h", ".cc")


def _blank(text):
    """Spaces in place of everything but newlines, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    return _TOKEN.sub(lambda m: _blank(m[0]) if m[0].startswith("/") else m[0], text)


def code_only(text):
    """The text with comments, strings and character literals blanked."""
    return _TOKEN.sub(lambda m: _blank(m[0]), text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def includes(text):
    """Yields (line, spelling) of each include; the spelling keeps its quotes or angle brackets."""
    text = without_comments(text)
    for match in _INCLUDE.finditer(text):
        yield line_of(text, match.start(1)), match[1]


def sources(root, folders):
    """Sorted paths, relative to root, of the C++ files below the folders."""
    found = []
    for folder in folders:
        found += [p.relative_to(root) for p in (root / folder).rglob("*") if p.suffix in SUFFIXES]
    return sorted(found)


def library_findings(root, exempt, headers, tokens, why):
    """Findings in format/ and engine/ outside `exempt`: includes of `headers`, code that has `tokens`."""
    findings = []
    for path in sources(root, ("format", "engine")):
        if path.as_posix().startswith(exempt):
            continue
        text = (root / path).read_text(encoding="utf-8")
        for line, spelling in includes(text):
            if headers.fullmatch(spelling):
                findings.append(f"{path}:{line}: includes {spelling}; {why}")
        code = code_only(text)
        for match in tokens.finditer(code):
            findings.append(f"{path}:{line_of(code, match.start())}: '{match[0].strip()}'; {why}")
    return findings


def findings_of_tree(check, files):
    """Runs check(root) on a tree made of {path: text}; for the self-tests of the checks."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        return check(root)
