"""Checks the Markdown files of the tree: relative links and #anchors lead somewhere, quotes are true.

A code block after a line `<!-- from PATH -->` stands word for word in that file, which a test compiles and
runs (README.md quotes tests/consumer/main.cc).
"""

import pathlib
import re
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import tree_check

SKIPPED = {"build", ".git", "node_modules"}
FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]\n]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE)
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
QUOTE = re.compile(r"^<!-- from (\S+) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPLICIT_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")


def blank(pattern, text):
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def anchors(text):
    """The anchors that GitHub makes of the headings, and explicit ones."""
    text = blank(FENCE, text)
    found, seen = set(EXPLICIT_ANCHOR.findall(text)), {}
    for heading in HEADING.findall(text):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


def links(text):
    """Yields (line, target) of each link outside code."""
    text = blank(INLINE_CODE, blank(FENCE, text))
    for pattern in (LINK, REFERENCE):
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match[1]


def fault(root, page, target):
    """Why a link leads nowhere, or None."""
    url = urllib.parse.urlsplit(target)
    if url.scheme or url.netloc:
        return None
    path = urllib.parse.unquote(url.path)
    base = root if path.startswith("/") else page.parent
    file = base / path.lstrip("/") if path else page
    if not file.exists():
        return f"{target}: no such file"
    if url.fragment and file.suffix == ".md" and url.fragment not in anchors(file.read_text(encoding="utf-8")):
        return f"{target}: no such heading"
    return None


def false_quotes(root, text):
    """Yields (line, reason) of each quoted block that its source does not contain."""
    for match in QUOTE.finditer(text):
        source = root / match[1]
        if not source.is_file() or match[2] not in source.read_text(encoding="utf-8"):
            yield text.count("\n", 0, match.start()) + 1, f"{match[1]} does not contain this block"


def check(root):
    findings = []
    for page in sorted(root.rglob("*.md")):
        if SKIPPED & set(page.relative_to(root).parts):
            continue
        text = page.read_text(encoding="utf-8")
        faults = [(line, fault(root, page, target)) for line, target in links(text)]
        for line, reason in [*faults, *false_quotes(root, text)]:
            if reason:
                findings.append(f"{page.relative_to(root)}:{line}: {reason}")
    return findings


GOOD = {
    "README.md": "# Name\n[a](docs/a.md#two-words-here) [b](https://example.org/x) [c](#name) `[d](gone.md)`\n"
                 "```\n[e](gone.md)\n```\n[f]: docs/a.md\n[![g](docs/a.md)](docs)\n",
    "docs/a.md": "# A\n## Two words, `here`\n[up](../README.md)\n"
                 "<!-- from main.cc -->\n```cpp\nint x;\nint y;\n```\n",
    "main.cc": "#include <a>\n\nint x;\nint y;\n",
    "build/x.md": "[a](gone.md)\n",
}
BAD = [
    ({"docs/a.md": "# A\n## Two words here\n\n[x](b.md)\n"}, "docs/a.md:4: b.md: no such file"),
    ({"docs/b.md": "[x](a.md#three)\n"}, "docs/b.md:1: a.md#three: no such heading"),
    ({"docs/b.md": "\n[x]\n\n[x]: gone.txt\n"}, "docs/b.md:4: gone.txt: no such file"),
    ({"docs/b.md": "![p](p.png)\n"}, "p.png: no such file"),
    ({"main.cc": "int x;\n\nint y;\n"}, "docs/a.md:4: main.cc does not contain this block"),
    ({"docs/b.md": "<!-- from gone.cc -->\n```\nint x;\n```\n"}, "docs/b.md:1: gone.cc does not contain this block"),
]

if __name__ == "__main__":
    tree_check.main(check, GOOD, BAD)
