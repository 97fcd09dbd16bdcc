"""Checks the order of the layers, names and first lines of the tree.

Each source of format/, engine/ and tools/ belongs to a module with a rank. A file may include its own
module and modules of a lower rank. Nothing there includes tests, fuzz or bench. No file reaches itself
through includes. Stems are unique. Every file opens with one sentence that says what it is for.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import cpp_source, tree_check

# A module is a folder of engine/src, a public header of engine/include, or one of format and tools.
RANKS = {
    "format": 0,
    "io": 1, "index": 1, "options": 1, "stats": 1,
    "segment": 2, "log": 2, "eviction": 2, "async": 2,
    "manifest": 3,
    "compaction": 4, "migration": 4, "verify": 4,
    "store": 5,
    "cache": 6, "control": 6, "coroutine": 6,
    "tools": 7,
}
# Modules that see of the engine what a caller sees: its public headers.
PUBLIC_ONLY = {"cache", "tools"}
PRODUCT = ("format", "engine", "tools")
EVERYTHING = (*PRODUCT, "tests", "fuzz", "bench")
# Projects of their own, and sources that are meant to be wrong.
APART = ("tests/consumer/", "tests/compile_fail/")


def module_of(path):
    """The module of a path relative to the root; None outside the product."""
    parts = path.parts
    if parts[0] in ("format", "tools"):
        return parts[0]
    if parts[:3] == ("engine", "include", "vectolith"):
        return "cache" if path.stem.endswith("_cache") else path.stem
    if parts[:2] == ("engine", "src"):
        return parts[2] if len(parts) > 3 else path.stem
    return None


def resolve(root, path, spelling):
    """The file of ours that an include means, relative to the root, or None."""
    name = spelling[1:-1]
    folders = ["format/include", "engine/include"]
    if spelling[0] == '"':
        folders = [path.parent, "engine/src", "format/src", *folders, "tools", "tests", "bench", "fuzz", "."]
    for folder in folders:
        candidate = root / folder / name
        if candidate.is_file():
            return candidate.resolve().relative_to(root.resolve())
    return None


def judge(path, target, spelling):
    """Why `path` must not include `target`, or None."""
    here, there = module_of(path), module_of(target)
    if there is None:
        return f"includes {target}: nothing of the product includes {target.parts[0]}"
    if there not in RANKS:
        return f"includes {target}: module '{there}' has no rank in tests/layering_test.py"
    if here == there:
        return None
    if RANKS[there] > RANKS[here]:
        return f"upward include of {spelling}: {here} (rank {RANKS[here]}) below {there} (rank {RANKS[there]})"
    if RANKS[there] == RANKS[here]:
        return f"sideways include of {spelling}: {here} and {there} both have rank {RANKS[here]}"
    if here in PUBLIC_ONLY and "include" not in target.parts:
        return f"includes {spelling}: {here} uses public headers only"
    return None


def layering(root):
    findings, graph = [], {}
    for path in cpp_source.sources(root, PRODUCT):
        graph[path] = []
        if module_of(path) not in RANKS:
            findings.append(f"{path}:1: module '{module_of(path)}' has no rank in tests/layering_test.py")
            continue
        for line, spelling in cpp_source.includes((root / path).read_text(encoding="utf-8")):
            target = resolve(root, path, spelling)
            if target is None:
                if spelling[0] == '"' or spelling.startswith("<vectolith/"):
                    findings.append(f"{path}:{line}: {spelling} is no file of this tree")
                continue
            graph[path].append((line, target))
            if reason := judge(path, target, spelling):
                findings.append(f"{path}:{line}: {reason}")
    return findings + cycles(graph)


def cycles(graph):
    """One finding for each include that closes a cycle."""
    findings, state = [], {}

    def visit(path, trail):
        state[path] = "open"
        for line, target in graph.get(path, []):
            if state.get(target) == "open":
                loop = [*trail[trail.index(target):], target]
                findings.append(f"{path}:{line}: cycle {' -> '.join(map(str, loop))}")
            elif target not in state:
                visit(target, [*trail, target])
        state[path] = "done"

    for path in sorted(graph):
        if path not in state:
            visit(path, [path])
    return findings


def names_and_first_lines(root):
    """A stem belongs to one module, with at most one .h and one .cc; each file says what it is for."""
    findings, bearers = [], {}
    for path in cpp_source.sources(root, EVERYTHING):
        if path.as_posix().startswith(APART):
            continue
        bearers.setdefault(path.stem, []).append(path)
        lines = (root / path).read_text(encoding="utf-8").split("\n", 2)
        sentence = " ".join(line.removeprefix("///").strip() for line in lines[:2]).removeprefix("@file").strip()
        if not lines[0].startswith("/// @file") or not sentence:
            findings.append(f"{path}:1: the first line opens with '/// @file' and a sentence follows")
    for stem, paths in bearers.items():
        modules = {module_of(path) or path.parent for path in paths}
        if len(modules) > 1 or len({path.suffix for path in paths}) < len(paths):
            findings.append(f"{paths[-1]}:1: the stem '{stem}' is not unique: {', '.join(map(str, paths))}")
    return findings


def check(root):
    return layering(root) + names_and_first_lines(root)


HEAD = "/// @file\n/// A file.\n"
GOOD = {
    "format/include/vectolith/format/result.h": HEAD,
    "format/src/result.cc": HEAD + "#include <vectolith/format/result.h>\n",
    "engine/include/vectolith/options.h": HEAD + "#include <vectolith/format/result.h>\n",
    "engine/include/vectolith/store.h": HEAD + "#include <vectolith/options.h>\n",
    "engine/src/io/file.h": HEAD + '// #include "store/recovery.h" is only a comment\n',
    "engine/src/index/shard.h": HEAD,
    "engine/src/segment/segment_writer.h": HEAD + '#include "io/file.h"\n',
    "engine/src/store/store.cc": HEAD + '#include <vectolith/store.h>\n#include "segment/segment_writer.h"\n',
    "engine/src/cache/single_flight.h": HEAD + "#include <vectolith/store.h>\n",
    "tools/main.cc": HEAD + "#include <vectolith/store.h>\n",
    "tests/support/temp_dir.h": HEAD,
    "tests/engine/io/file_test.cc": HEAD + '#include "support/temp_dir.h"\n#include "io/file.h"\n',
}
BAD = [
    ({"engine/src/io/file.h": HEAD + '#include "segment/segment_writer.h"\n',
      "engine/src/segment/segment_writer.h": HEAD}, "engine/src/io/file.h:3: upward include"),
    ({"engine/src/index/shard.h": HEAD + '\n#include "io/file.h"\n'}, "engine/src/index/shard.h:4: sideways include"),
    ({"format/src/result.cc": HEAD + "#include <vectolith/options.h>\n"}, "format/src/result.cc:3: upward include"),
    ({"engine/src/cache/single_flight.h": HEAD + '#include "io/file.h"\n'}, "cache uses public headers only"),
    ({"tools/main.cc": HEAD + '#include "io/file.h"\n'}, "tools uses public headers only"),
    ({"engine/src/index/shard.h": HEAD + '#include "support/temp_dir.h"\n'}, "nothing of the product includes tests"),
    ({"engine/src/io/a.h": HEAD + '#include "io/b.h"\n', "engine/src/io/b.h": HEAD + '#include "io/a.h"\n'},
     "cycle engine/src/io/a.h -> engine/src/io/b.h -> engine/src/io/a.h"),
    ({"engine/src/other/thing.h": HEAD}, "module 'other' has no rank"),
    ({"engine/src/index/shard.h": HEAD + '#include "io/gone.h"\n'}, '"io/gone.h" is no file of this tree'),
    ({"engine/src/store/file.h": HEAD}, "the stem 'file' is not unique: engine/src/io/file.h"),
    ({"bench/bench_get.cc": "#include <vector>\n"}, "bench/bench_get.cc:1: the first line opens with"),
    ({"bench/bench_get.cc": "/// @file\n\n"}, "bench/bench_get.cc:1: the first line opens with"),
]

if __name__ == "__main__":
    tree_check.main(check, GOOD, BAD)
