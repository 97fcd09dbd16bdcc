"""Checks that the library never ends its host's process, and writes nothing onto its terminal.

format/ and engine/ are linked into somebody's program: they return errors. Debug builds may abort on our own
mistakes through VECTOLITH_DCHECK, which is the only way to assert().
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import cpp_source, tree_check

# The one place where assert() may stand.
DCHECK = "format/src/dcheck.h"

FORBIDDEN = re.compile(
    r"""(?<![\w.>:])(?:::|std::)?
        (?:abort|exit|_exit|_Exit|quick_exit|terminate|unexpected_handler|set_terminate|set_unexpected|atexit
          |at_quick_exit|raise|kill|tgkill|pthread_kill|pthread_exit|pthread_cancel|longjmp|siglongjmp
          |__builtin_trap|__builtin_unreachable|unreachable|__assert_fail|signal|sigaction|err|errx|warn|warnx
          |perror|psignal|error_at_line|printf|fprintf|puts|fputs|putchar|vprintf|vfprintf|dprintf|syslog)\s*\(
      | \bassert\s*\(
      | \bstd::c(?:out|err|log|in)\b | \bstd::print(?:ln)?\b | \b(?:stdout|stderr|stdin)\b
      | \bthrow\b
      | \bnoreturn\b""",
    re.VERBOSE,
)
HEADERS = re.compile(r"<(?:iostream|cassert|assert\.h|csignal|err\.h|csetjmp|setjmp\.h|syslog\.h)>")


def check(root):
    return cpp_source.library_findings(root, DCHECK, HEADERS, FORBIDDEN, "a library returns errors")


GOOD = {
    DCHECK: "#include <cassert>\n#define VECTOLITH_DCHECK(condition) assert(condition)\n",
    "engine/src/io/file.cc": "// abort() in a comment\nauto s = \"exit(1)\"; static_assert(sizeof(int) == 4);\n"
                             "VECTOLITH_DCHECK(n > 0); auto e = std::unexpected(error); worker.kill(1); t->abort();\n",
}
LINE = "void f() {\n  %s;\n}\n"
BAD = [({"engine/src/store/store.cc": LINE % code}, f"engine/src/store/store.cc:2: '{token}")
       for code, token in [
           ("std::abort()", "std::abort("),
           ("::exit(1)", "::exit("),
           ("if (bad) _exit(1)", "_exit("),
           ("std::terminate()", "std::terminate("),
           ("std::quick_exit(0)", "std::quick_exit("),
           ("assert(x > 0)", "assert("),
           ("raise(SIGABRT)", "raise("),
           ("__builtin_trap()", "__builtin_trap("),
           ("std::unreachable()", "std::unreachable("),
           ("std::cerr << 1", "std::cerr"),
           ("std::printf(text)", "std::printf("),
           ("throw Error()", "throw"),
           ("std::atexit(f)", "std::atexit("),
       ]] + [
    ({"format/src/bytes.cc": "#include <cassert>\n"}, "format/src/bytes.cc:1: includes <cassert>"),
    ({"engine/include/vectolith/store.h": "[[noreturn]] void give_up();\n"}, "store.h:1: 'noreturn"),
]

if __name__ == "__main__":
    tree_check.main(check, GOOD, BAD)
