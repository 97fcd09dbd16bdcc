"""A control group that limits memory, of version 2 or 1, whatever the machine has."""

import contextlib
import os
import pathlib


class NoLimit(Exception):
    """Memory cannot be limited here."""


def _mounts():
    """(type, point, options) of all control group file systems."""
    for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind, options = line.split()[:4]
        if kind in ("cgroup", "cgroup2"):
            yield kind, pathlib.Path(point), options.split(",")


def _own_path(controller):
    """Where this process is in the hierarchy of `controller`, "" being that of version 2."""
    for line in pathlib.Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.lstrip("/")
    return ""


def _candidates():
    """(parent, file of the limit) in the order they are tried."""
    for kind, point, options in _mounts():
        if kind == "cgroup" and "memory" in options:
            for parent in (point / _own_path("memory"), point):
                yield parent, "memory.limit_in_bytes"
        if kind == "cgroup2":
            for parent in (point / _own_path(""), point):
                yield parent, "memory.max"


def _make_group(parent, limit_file, limit_bytes):
    """A new group below `parent`. Errors: OSError when that is not allowed."""
    if limit_file == "memory.max":
        with contextlib.suppress(OSError):  # It may be on already.
            (parent / "cgroup.subtree_control").write_text("+memory", encoding="utf-8")
    group = parent / f"vectolith-compare-{os.getpid()}"
    group.mkdir()
    try:
        (group / limit_file).write_text(str(limit_bytes), encoding="utf-8")
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0", encoding="utf-8")
    except OSError:
        group.rmdir()
        raise
    return group


@contextlib.contextmanager
def memory_limit(limit_bytes):
    """The folder of a new group with this limit, which a process joins by writing its id to cgroup.procs."""
    group, reasons = None, []
    for parent, limit_file in _candidates():
        try:
            group = _make_group(parent, limit_file, limit_bytes)
            break
        except OSError as error:
            reasons.append(f"{error.filename or parent}: {error.strerror}")
    if group is None:
        raise NoLimit("; ".join(reasons) or "no control groups are mounted")
    try:
        yield group
    finally:
        with contextlib.suppress(OSError):  # A process that is still dying.
            group.rmdir()
