"""What a report says of the machine it was measured on."""

import os
import pathlib
import platform


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def memory_bytes(field="MemTotal"):
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/meminfo has no {field}")


def mount_of(path):
    """(device, type, options) of the file system that holds `path`."""
    path = os.path.realpath(path)
    found = ("/", "unknown", "unknown", "")
    for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        device, point, kind, options = line.split()[:4]
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found[0]):
            found = (point, device, kind, options)
    return found[1:]


def block_device(path):
    """What the kernel says of the device beneath `path`; empty where there is none."""
    number = os.stat(path).st_dev
    folder = pathlib.Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not folder.exists():
        return {}
    folder = folder.resolve()
    queue = next((f / "queue" for f in (folder, folder.parent) if (f / "queue").is_dir()), None)
    facts = {"name": folder.name}
    for name in ("rotational", "read_ahead_kb", "write_cache", "logical_block_size"):
        if queue and (queue / name).exists():
            facts[name] = (queue / name).read_text(encoding="utf-8").strip()
    return facts


def describe(path):
    device, kind, options = mount_of(path)
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_bytes": memory_bytes(),
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": {"device": device, "type": kind, "options": options},
        "block_device": block_device(path),
    }
