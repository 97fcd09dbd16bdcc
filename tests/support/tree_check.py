"""The command line that all checks of the tree share."""

import argparse
import pathlib
import sys

from support.cpp_source import findings_of_tree


def main(check, good, bad):
    """Runs `check(root) -> [finding]` on --root, or on the trees of its self-test.

    `good` is a tree {path: text} that has no finding. `bad` is a list of (changes, expected): the
    good tree with these files added or replaced has exactly one finding, which contains `expected`.
    """
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    arguments.add_argument("--self-test", action="store_true", help="show that the check can fail")
    options = arguments.parse_args()
    failures = _self_test(check, good, bad) if options.self_test else check(options.root)
    for failure in failures:
        print(failure)
    if not failures:
        print(f"{len(bad)} bad trees were found out" if options.self_test else "no finding")
    sys.exit(1 if failures else 0)


def _self_test(check, good, bad):
    failures = [f"the good tree has a finding: {finding}" for finding in findings_of_tree(check, good)]
    for changes, expected in bad:
        found = findings_of_tree(check, {**good, **changes})
        if len(found) != 1 or expected not in found[0]:
            failures.append(f"{sorted(changes)}: expected one finding with '{expected}', found {found}")
    return failures
