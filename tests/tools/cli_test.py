"""Runs every verb of the tool as a script would: forms, exit codes, JSON shapes, bad input, other processes.

usage: cli_test.py PATH_OF_VECTOLITH [unittest arguments]
"""

import base64
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TOOL = None
DIM = 4
VERBS = ["create", "family create", "family list", "family drop", "import", "export", "get", "put", "erase",
         "scan", "stats", "sync", "inspect", "fsck", "scrub", "stress", "bench"]
OK, USAGE, NOT_FOUND, CORRUPTION, IO_ERROR, LOCKED, UNSUPPORTED = range(7)


def digest_of(number):
    """The digest of row `number - 1` of an import without keys."""
    return (struct.pack("<Q", number) + bytes(24)).hex()


def wait_until_it_catches(pid, number):
    """Returns when the process has a handler for the signal."""
    while True:
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        if int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1:
            return
        time.sleep(0.005)


def npy(rows, descr="<f4", fortran=False, shape=None, version=1):
    width = len(rows[0]) if rows else DIM
    shape = shape or (len(rows), width)
    literal = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    literal += b" " * (-(len(literal) + 11) % 64) + b"\n"
    head = b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(literal))
    return head + literal + b"".join(struct.pack(f"<{width}f", *row) for row in rows)


def rows_of(count, dim=DIM):
    return [[row + 1 + j / 8 for j in range(dim)] for row in range(count)]


class ToolTest(unittest.TestCase):
    def setUp(self):
        self.temp = pathlib.Path(tempfile.mkdtemp(prefix="vectolith-cli-"))
        self.addCleanup(self.remove_temp)
        self.store = self.temp / "store"

    def remove_temp(self):
        for path in [self.temp, *self.temp.rglob("*")]:
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(self.temp)

    def run_tool(self, *arguments, expect=OK, stdin=b"", **options):
        """Runs the tool, checks its exit code, and returns (stdout, stderr) as text."""
        done = subprocess.run([TOOL, *map(str, arguments)], input=stdin, capture_output=True, check=False, **options)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, expect, f"{arguments}\nstdout: {out}\nstderr: {err}")
        if expect not in (OK,) and "--json" not in arguments:
            self.assertIn("vectolith: ", err + out, "an error says what happened")
        return out, err

    def fails(self, expect, *arguments, says=(), **options):
        """Runs the tool, which fails with `expect`, says all of `says`, and what to do about it."""
        _, err = self.run_tool(*arguments, expect=expect, **options)
        for text in says:
            self.assertIn(text, err)
        self.assertIn("what to do: ", err)
        return err

    def json(self, *arguments, **options):
        return json.loads(self.run_tool(*arguments, "--json", **options)[0])

    def make_store(self, rows=0, name="docs", dim=DIM):
        self.run_tool("create", self.store)
        self.run_tool("family", "create", self.store, name, "--dim", dim, "--dtype", "f32")
        if rows:
            self.run_tool("import", self.store, name, self.write("rows.npy", npy(rows_of(rows, dim))))

    def write(self, name, content):
        path = self.temp / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def scan(self, *arguments):
        out, _ = self.run_tool("scan", self.store, *arguments, "--json")
        return [json.loads(line) for line in out.splitlines()]


class Help(ToolTest):
    def test_every_verb_explains_itself_with_an_example(self):
        for verb in VERBS:
            out, _ = self.run_tool(*verb.split(), "--help")
            self.assertIn("Example:\n  vectolith " + verb.split()[0], out, verb)
        out, _ = self.run_tool("--help")
        for verb in VERBS:
            self.assertIn(verb.split()[0], out)
        self.assertIn("format 1.0", self.run_tool("--version")[0])

    def test_a_wrong_command_line_exits_1(self):
        for arguments in [(), ("nonsense",), ("create",), ("get", "x"), ("create", "x", "--io", "magic"),
                          ("family",), ("family", "create", "x", "y", "--dim", "0"),
                          ("family", "create", "x", "y", "--dim", "4", "--dtype", "f64"),
                          ("stress", "x", "--verify"), ("stress", "x", "--keys", "0"),
                          ("stress", "x", "--erase-ratio", "2"), ("scan", "x", "--frobnicate")]:
            done = subprocess.run([TOOL, *arguments], capture_output=True, check=False)
            self.assertEqual(done.returncode, USAGE, arguments)
            self.assertTrue(done.stderr, arguments)
        self.assertFalse(pathlib.Path("x").exists())


class Families(ToolTest):
    def test_create_list_and_drop(self):
        self.assertEqual(self.json("create", self.store), {"created": str(self.store)})
        self.assertEqual(self.json("family", "list", self.store), [])
        self.run_tool("family", "create", self.store, "docs", "--dim", "384", "--dtype", "f16", "--metric", "dot",
                      "--unit-norm", "--model", "m", "--revision", "r", "--parameters", "p", "--role", "query")
        self.run_tool("family", "create", self.store, "texts", "--records")
        docs, texts = self.json("family", "list", self.store)
        self.assertEqual({key: docs[key] for key in docs if key not in ("id", "fingerprint")},
                         {"name": "docs", "rows": 0, "kind": "vector", "dim": 384, "dtype": "f16", "metric": "dot",
                          "unit_norm": True, "model": "m", "revision": "r", "parameters": "p", "role": "query"})
        self.assertEqual(len(docs["fingerprint"]), 32)
        self.assertEqual((texts["name"], texts["kind"]), ("texts", "record"))
        self.assertIn("384 x f16 dot unit-norm model=m", self.run_tool("family", "list", self.store)[0])
        self.assertEqual(self.json("family", "drop", self.store, "docs"), {"dropped": "docs"})
        self.assertEqual([family["name"] for family in self.json("family", "list", self.store)], ["texts"])

    def test_making_a_family_twice_needs_the_same_spec(self):
        self.make_store()
        self.run_tool("family", "create", self.store, "docs", "--dim", DIM)
        self.fails(USAGE, "family", "create", self.store, "docs", "--dim", DIM + 1, says=["dim", "5", "4"])
        self.fails(USAGE, "family", "create", self.store, "other", says=["--dim"])
        self.fails(USAGE, "family", "create", self.store, "bits", "--dim", "12", "--dtype", "b1", says=["8"])

    def test_dropping_what_is_not_there_exits_2(self):
        self.make_store()
        self.fails(NOT_FOUND, "family", "drop", self.store, "nope", says=["nope"])

    def test_creating_where_something_is_exits_1(self):
        self.make_store()
        self.fails(USAGE, "create", self.store)
        (self.temp / "full").mkdir()
        self.write("full/file", "x")
        self.fails(USAGE, "create", self.temp / "full", says=["full"])
        self.assertEqual([path.name for path in (self.temp / "full").iterdir()], ["file"])


class ImportExport(ToolTest):
    def vectors(self):
        return [base64.b64decode(row["vector_base64"])
                for row in sorted(self.scan("docs", "--vectors"), key=lambda row: row["sequence"])]

    def test_every_format_gives_the_same_rows_under_the_same_keys(self):
        rows = rows_of(300)
        packed = [struct.pack(f"<{DIM}f", *row) for row in rows]
        files = {"a.npy": npy(rows), "b.npy": npy(rows, version=2),
                 "c.fvecs": b"".join(struct.pack("<i", DIM) + row for row in packed),
                 "d.fbin": struct.pack("<II", len(rows), DIM) + b"".join(packed),
                 "e.jsonl": "\n".join(json.dumps(row) for row in rows)}
        for name, content in files.items():
            with self.subTest(name):
                self.make_store()
                counts = self.json("import", self.store, "docs", self.write(name, content))
                self.assertEqual((counts["rows"], counts["stored"], counts["existing"], counts["complete"]),
                                 (300, 300, 0, True))
                self.assertEqual(self.vectors(), packed)
                self.assertEqual({row["digest"] for row in self.scan()}, {digest_of(i + 1) for i in range(300)})
                self.assertEqual(self.json("import", self.store, "docs", self.temp / name)["existing"], 300)
                self.assertEqual(self.json("fsck", self.store)["damage"], 0)
                shutil.rmtree(self.store)

    def test_keys_come_from_a_file_or_from_json(self):
        self.make_store()
        digests = [bytes([i]) * 32 for i in range(1, 6)]
        keys = self.write("keys.txt", "".join(d.hex() + "\n" for d in digests))
        self.run_tool("import", self.store, "docs", self.write("a.npy", npy(rows_of(5))), "--keys", keys)
        self.assertEqual({row["digest"] for row in self.scan()}, {d.hex() for d in digests})
        line = json.dumps({"digest": "ab" * 32, "vector": [1, 2, 3, 4]})
        self.run_tool("import", self.store, "docs", self.write("b.jsonl", line + "\n"))
        self.assertIn("ab" * 32, {row["digest"] for row in self.scan()})
        self.fails(USAGE, "import", self.store, "docs", self.temp / "b.jsonl", "--keys", keys, says=["line 1", "--keys"])

    def test_a_keys_file_of_another_length_or_with_a_bad_line_imports_nothing(self):
        self.make_store()
        rows = self.write("a.npy", npy(rows_of(3)))
        for text, says in [("11" * 32 + "\n", ["3 digests", "found 1"]), (("22" * 32 + "\n") * 4, ["found 4"]),
                           ("33" * 32 + "\nxyz\n", ["line 2"])]:
            self.fails(USAGE, "import", self.store, "docs", rows, "--keys", self.write("k", text), says=says)
        self.assertEqual(self.scan(), [])

    def test_replace_overwrites_and_without_it_the_first_write_wins(self):
        self.make_store(rows=3)
        other = self.write("b.npy", npy([[9] * DIM] * 3))
        self.assertEqual(self.json("import", self.store, "docs", other)["existing"], 3)
        self.assertEqual(self.vectors()[0], struct.pack("<4f", *rows_of(1)[0]))
        self.assertEqual(self.json("import", self.store, "docs", other, "--replace")["stored"], 3)
        self.assertEqual(self.vectors(), [struct.pack("<4f", *[9] * DIM)] * 3)

    def test_a_key_that_stands_twice_in_a_file_keeps_its_first_row(self):
        self.make_store()
        keys = self.write("k", ("77" * 32 + "\n") * 3)
        counts = self.json("import", self.store, "docs", self.write("a.npy", npy(rows_of(3))), "--keys", keys)
        self.assertEqual((counts["stored"], counts["existing"]), (1, 2))
        self.assertEqual(self.vectors(), [struct.pack("<4f", *rows_of(1)[0])])

    def test_export_reads_back_to_the_same_store(self):
        self.make_store(rows=50)
        before = {row["digest"]: row["xxh3"] for row in self.scan()}
        for name in ("out.npy", "out.jsonl"):
            with self.subTest(name):
                keys = self.temp / "keys.txt"
                self.assertEqual(self.json("export", self.store, "docs", self.temp / name, "--keys", keys)["rows"], 50)
                self.run_tool("family", "create", self.store, name, "--dim", DIM)
                with_keys = ["--keys", keys] if name == "out.npy" else []
                self.run_tool("import", self.store, name, self.temp / name, *with_keys)
                self.assertEqual({row["digest"]: row["xxh3"] for row in self.scan(name)}, before)
        self.assertEqual((self.temp / "out.npy").read_bytes()[:6], b"\x93NUMPY")
        self.fails(USAGE, "export", self.store, "docs", self.temp / "out.csv", says=[".npy or .jsonl"])
        self.fails(IO_ERROR, "export", self.store, "docs", self.temp / "no" / "out.npy", says=["out.npy"])
        self.assertEqual(list(self.temp.glob("*.partial")), [])

    def test_other_dtypes_go_in_and_out(self):
        self.run_tool("create", self.store)
        cases = {"f16": [0.5, -2, 1], "bf16": [0.5, -2, 1], "i8": [-128, 0, 127], "u8": [0, 7, 255]}
        for dtype, values in cases.items():
            with self.subTest(dtype):
                self.run_tool("family", "create", self.store, dtype, "--dim", "3", "--dtype", dtype)
                self.run_tool("import", self.store, dtype, self.write("a.jsonl", json.dumps(values)))
                self.assertEqual(self.json("get", self.store, dtype, digest_of(1))["vector"], values)
                self.run_tool("export", self.store, dtype, self.temp / "o.npy")
                self.run_tool("family", "create", self.store, dtype + "2", "--dim", "3", "--dtype", dtype)
                self.run_tool("import", self.store, dtype + "2", self.temp / "o.npy")
                self.assertEqual(self.json("get", self.store, dtype + "2", digest_of(1))["vector"], values)


class BadInput(ToolTest):
    """What the issue lists under "Bad input": a message and an exit code of its own each, and nothing lost."""

    def expect_kept(self, rows):
        self.assertEqual(len(self.scan()), rows)
        self.assertTrue(self.json("fsck", self.store)["clean"])

    def test_malformed_vector_files(self):
        self.make_store(rows=2)
        good = npy(rows_of(3))
        cases = [("short.npy", good[:-5], CORRUPTION, ["truncated in row 2"]),
                 ("foreign.npy", b"PK\x03\x04 not an array", CORRUPTION, ["no .npy file"]),
                 ("empty.npy", b"", CORRUPTION, ["no .npy file"]),
                 ("wide.npy", npy(rows_of(3, 5)), USAGE, ["columns", "expected 4", "found 5"]),
                 ("f8.npy", npy(rows_of(3), descr="<f8"), USAGE, ["dtype", "<f4", "<f8"]),
                 ("be.npy", npy(rows_of(3), descr=">f4"), USAGE, ["dtype", ">f4"]),
                 ("object.npy", npy(rows_of(3), descr="|O"), USAGE, ["object"]),
                 ("fortran.npy", npy(rows_of(3), fortran=True), USAGE, ["Fortran order", "C order"]),
                 ("flat.npy", npy(rows_of(3), shape=(12,)), USAGE, ["no matrix"]),
                 ("v3.npy", npy(rows_of(3), version=3), UNSUPPORTED, ["version", "1 or 2", "3"]),
                 ("short.fbin", struct.pack("<II", 9, DIM) + bytes(16), CORRUPTION, ["truncated in row 1"]),
                 ("wide.fbin", struct.pack("<II", 1, 9) + bytes(36), USAGE, ["dim", "expected 4", "found 9"]),
                 ("a.csv", b"1,2,3,4", USAGE, [".csv", ".npy"]),
                 ("cut.jsonl", b"[1,2,3", CORRUPTION, ["line 1 (byte 0)"]),
                 ("words.jsonl", b'["a",2,3,4]', USAGE, ["line 1", "element 0"])]
        for name, content, code, says in cases:
            with self.subTest(name):
                self.fails(code, "import", self.store, "docs", self.write(name, content), says=[name, *says])
        self.fails(NOT_FOUND, "import", self.store, "docs", self.temp / "missing.npy", says=["missing.npy"])
        self.expect_kept(2)

    def test_rows_before_the_bad_one_stay_and_are_reported(self):
        fvecs = b"".join(struct.pack("<i4f", 4, *row) for row in rows_of(5))
        cases = [("dims.fvecs", fvecs + struct.pack("<i3f", 3, 1, 2, 3), CORRUPTION, ["row 5", "another dim"]),
                 ("short.fvecs", fvecs + b"\4\0\0\0\1", CORRUPTION, ["truncated in row 5"]),
                 ("nan.npy", npy(rows_of(5) + [[1, float("nan"), 1, 1]] + rows_of(1)), USAGE, ["row 5 (byte "]),
                 ("inf.npy", npy(rows_of(5) + [[1, float("inf"), 1, 1]]), USAGE, ["row 5 (byte "]),
                 ("zero.npy", npy(rows_of(5) + [[0] * 4]), USAGE, ["row 5 (byte "]),
                 ("bad.jsonl", "".join(json.dumps(row) + "\n" for row in rows_of(5)) + "[1,2]\n", USAGE, ["line 6 (byte "])]
        for name, content, code, says in cases:
            with self.subTest(name):
                self.make_store()
                path = self.write(name, content)
                out, err = self.run_tool("import", self.store, "docs", path, expect=code)
                for text in [name, *says]:
                    self.assertIn(text, err)
                self.assertIn("kept: 5 rows", out)
                self.expect_kept(5)
                out, _ = self.run_tool("import", self.store, "docs", path, "--json", expect=code)
                counts = json.loads(out)
                self.assertEqual((counts["existing"], counts["complete"]), (5, False))
                shutil.rmtree(self.store)

    def test_vectors_that_are_no_vectors_of_the_family(self):
        self.make_store(rows=1)
        for vector, says in [("[1,2,3]", "4"), ("[1,2,3,4,5]", "4"), ("[0,0,0,0]", "zero"), ("[1,2,3,1e99]", ""),
                             ("nonsense", "JSON"), ("[1,2,3,null]", "element 3")]:
            self.fails(USAGE, "put", self.store, "docs", digest_of(9), "--vector", vector, says=[says])
        self.fails(USAGE, "put", self.store, "docs", digest_of(9), stdin=bytes(15), says=["15"])
        self.fails(USAGE, "put", self.store, "docs", digest_of(9), stdin=struct.pack("<4f", 1, float("nan"), 1, 1))
        self.run_tool("family", "create", self.store, "unit", "--dim", DIM, "--unit-norm")
        self.fails(USAGE, "put", self.store, "unit", digest_of(9), "--vector", "[1,2,3,4]", says=["norm"])
        self.fails(USAGE, "put", self.store, "docs", "12", "--vector", "[1,2,3,4]", says=["64 hexadecimal digits"])
        self.expect_kept(1)

    def test_an_unknown_family_exits_2_and_names_those_there_are(self):
        self.make_store(rows=1)
        for verb in (["get", self.store, "nope", digest_of(1)], ["scan", self.store, "nope"],
                     ["put", self.store, "nope", digest_of(1), "--vector", "[1]"],
                     ["erase", self.store, "nope", digest_of(1)]):
            self.fails(NOT_FOUND, *verb, says=["nope", "docs"])
        self.fails(NOT_FOUND, "import", self.store, "nope", self.temp / "rows.npy", says=["nope"])
        self.fails(NOT_FOUND, "export", self.store, "nope", self.temp / "out.npy", says=["nope"])

    def test_a_directory_that_is_no_store_exits_2_and_stays_as_it_was(self):
        (self.temp / "photos").mkdir()
        self.write("photos/cat.jpg", "meow")
        for directory in ("photos", "missing"):
            for verb in (["stats"], ["scan"], ["fsck"], ["sync"], ["family", "list"]):
                self.fails(NOT_FOUND, *verb, self.temp / directory, says=[directory])
        self.assertEqual([path.name for path in (self.temp / "photos").iterdir()], ["cat.jpg"])
        self.assertFalse((self.temp / "missing").exists())

    def test_a_store_of_a_newer_version_exits_6(self):
        self.make_store(rows=1)
        superblock = (self.store / "STORE").read_bytes()
        # The versions are checked after the sum, so a newer store has a sum of its own: bytes from the golden rule.
        newer = self.with_sum(superblock[:4096], {8: struct.pack("<H", 99)}) * 2
        (self.store / "STORE").write_bytes(newer)
        for verb in (["stats"], ["scan"], ["family", "list"], ["sync"]):
            self.fails(UNSUPPORTED, *verb, self.store, says=["99"])
        incompatible = self.with_sum(superblock[:4096], {24: struct.pack("<I", 1 << 30)}) * 2
        (self.store / "STORE").write_bytes(incompatible)
        self.fails(UNSUPPORTED, "stats", self.store)
        self.run_tool("inspect", self.store / "STORE", expect=UNSUPPORTED)
        (self.store / "STORE").write_bytes(superblock)
        self.expect_kept(1)

    def with_sum(self, block, changes):
        """The block with bytes changed and the sum that the tool itself says it should have."""
        changed = bytearray(block)
        for offset, content in changes.items():
            changed[offset:offset + len(content)] = content
        # XXH3 is not in Python's library: a family of one u8 vector of these 4088 bytes gives it (seed 0).
        with tempfile.TemporaryDirectory() as directory:
            self.run_tool("create", directory + "/s")
            self.run_tool("family", "create", directory + "/s", "sum", "--dim", 4088, "--dtype", "u8")
            self.run_tool("put", directory + "/s", "sum", digest_of(1), stdin=bytes(changed[:4088]))
            row = self.json("get", directory + "/s", "sum", digest_of(1))
        changed[4088:] = struct.pack("<Q", int(row["xxh3"], 16))
        return bytes(changed)

    def test_a_damaged_store_exits_3_and_names_file_offset_expected_and_found(self):
        self.make_store(rows=200, dim=64)
        segment = next(self.store.glob("*.vls"))
        content = bytearray(segment.read_bytes())
        at = content.find(struct.pack("<64f", *rows_of(200, 64)[99]))
        self.assertGreater(at, 0)
        content[at] ^= 1
        segment.write_bytes(content)
        out, _ = self.run_tool("fsck", self.store, expect=CORRUPTION)
        for text in ("DAMAGED", "damage: ", segment.name, "offset ", "expected ", "found "):
            self.assertIn(text, out)
        report = json.loads(self.run_tool("fsck", self.store, "--json", expect=CORRUPTION)[0])
        self.assertFalse(report["clean"])
        self.assertGreaterEqual(report["damage"], 1)
        finding = next(f for f in report["findings"] if f["severity"] == "damage")
        self.assertEqual(set(finding), {"severity", "kind", "file", "offset", "what", "expected", "found"})
        self.assertIn(finding["kind"], ("acknowledged-damage", "contradiction"))
        self.assertIn(segment.name, finding["file"])
        self.fails(CORRUPTION, "get", self.store, "docs", digest_of(100), says=[segment.name])

    def test_a_scrub_in_pieces_finds_the_damage_and_says_where_to_go_on(self):
        self.make_store(rows=200, dim=64)
        segment = next(self.store.glob("*.vls"))
        content = bytearray(segment.read_bytes())
        at = content.find(struct.pack("<64f", *rows_of(200, 64)[99]))
        content[at] ^= 1
        segment.write_bytes(content)
        position, codes, damage = "0:0", set(), 0
        for _ in range(100):
            done = subprocess.run([TOOL, "scrub", self.store, "--json", "--bytes-max", "10000", "--from", position],
                                  capture_output=True, check=False)
            codes.add(done.returncode)
            report = json.loads(done.stdout)
            damage += report["damage"]
            position = report["next"]
            if report["complete"]:
                break
        self.assertTrue(report["complete"])
        self.assertEqual((codes, damage), ({OK, CORRUPTION}, 1))
        self.fails(USAGE, "scrub", self.store, "--from", "here", says=["SEGMENT:ROW"])

    def test_a_scrub_that_is_interrupted_says_where_to_go_on(self):
        self.make_store(rows=3)
        for number in (signal.SIGINT, signal.SIGTERM):
            with subprocess.Popen([TOOL, "scrub", self.store, "--json", "--bytes-per-s", "1000"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as scrub:
                wait_until_it_catches(scrub.pid, number)
                scrub.send_signal(number)
                report = json.loads(scrub.communicate(timeout=60)[0])
            self.assertEqual((scrub.returncode, report["complete"]), (OK, False))
            rest = json.loads(self.run_tool("scrub", self.store, "--json", "--from", report["next"])[0])
            self.assertEqual((rest["complete"], rest["rows"]), (True, 3))

    def run_on_small_disk(self, script, kib):
        """Runs a shell script in an empty file system of `kib` KiB of its own; returns the lines it prints."""
        disk = self.temp / "disk"
        disk.mkdir()
        mount = f"mount -t tmpfs -o size={kib}k none {disk} || exit 77; cd {disk}; T={TOOL}; D={disk}\n"
        done = subprocess.run(["unshare", "--mount", "--map-root-user", "sh", "-c", mount + script],
                              capture_output=True, check=False)
        if done.returncode == 77 or b"unshare" in done.stderr:
            self.skipTest("this machine lets nobody mount a small file system: " + done.stderr.decode())
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode().splitlines(), done.stderr.decode()

    def test_a_full_disk_exits_4_and_keeps_what_was_imported(self):
        self.write("big.npy", npy(rows_of(20_000, 64)))
        lines, err = self.run_on_small_disk(f"""
            $T create s && $T family create s docs --dim 64 || exit 1
            $T import s docs {self.temp}/big.npy --json; echo $?
            $T scan s --json | wc -l
            $T get s docs {digest_of(1)} --json > /dev/null; echo $?
            $T erase s docs {digest_of(1)} > /dev/null; echo $?
            $T fsck s > /dev/null; echo $?
            $T export s docs out.npy; echo $?; ls out.npy* | wc -l""", kib=8192)
        _, _, counts, code, rows, got, erased, fscked, exported, outputs = lines
        stored = json.loads(counts)["stored"]
        self.assertEqual((int(code), int(got), int(erased), int(fscked)), (IO_ERROR, OK, OK, OK), err)
        self.assertGreater(stored, 0)
        self.assertGreaterEqual(int(rows), stored)
        self.assertEqual((int(exported), int(outputs)), (IO_ERROR, 0))
        self.assertIn("No space left on device", err)
        self.assertIn("what to do: free space", err)

    def test_a_read_only_disk_exits_4_for_writes_and_serves_reads(self):
        self.write("rows.npy", npy(rows_of(5)))
        lines, err = self.run_on_small_disk(f"""
            $T create s && $T family create s docs --dim 4 && $T import s docs {self.temp}/rows.npy || exit 1
            mount -o remount,ro none $D || exit 77
            $T put s docs {digest_of(9)} --vector '[1,2,3,4]'; echo $?
            $T erase s docs {digest_of(1)}; echo $?
            $T import s docs {self.temp}/rows.npy; echo $?
            $T create t; echo $?
            $T scan s --json | wc -l
            $T get s docs {digest_of(1)} --json > /dev/null; echo $?
            $T stats s > /dev/null; echo $?
            $T fsck s > /dev/null; echo $?""", kib=16384)
        self.assertEqual([int(line) for line in lines[3:]], [IO_ERROR] * 4 + [5] + [OK] * 3, err)
        self.assertIn("Read-only file system", err)

    def test_a_full_standard_output_exits_4(self):
        self.make_store(rows=2)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TOOL, "scan", self.store, "--json"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, IO_ERROR)
        self.assertIn(b"standard output", done.stderr)


class Rows(ToolTest):
    def test_put_get_and_erase(self):
        self.make_store()
        vector = [0.1, -2.5, 3e-7, 4]
        raw = struct.pack("<4f", *vector)
        stored = self.json("put", self.store, "docs", digest_of(1), "--vector", json.dumps(vector), "--durable")
        self.assertTrue(stored["stored"])
        row = self.json("get", self.store, "docs", digest_of(1))
        self.assertEqual(set(row), {"digest", "family", "sequence", "created_at", "xxh3", "dtype", "vector"})
        self.assertEqual(row["vector"], vector)
        self.assertEqual(row["sequence"], stored["sequence"])
        self.assertAlmostEqual(row["created_at"], time.time(), delta=3600)
        done = subprocess.run([TOOL, "get", self.store, "docs", digest_of(1), "--raw"], capture_output=True, check=True)
        self.assertEqual(done.stdout, raw)
        self.assertFalse(self.json("put", self.store, "docs", digest_of(1), stdin=bytes(15) + b"\1")["stored"])
        self.write("raw", struct.pack("<4f", 4, 3, 2, 1))
        self.assertTrue(self.json("put", self.store, "docs", digest_of(1), "--file", self.temp / "raw", "--replace")["stored"])
        self.assertEqual(self.json("get", self.store, "docs", digest_of(1))["vector"], [4, 3, 2, 1])
        self.assertIn("erased", self.run_tool("erase", self.store, "docs", digest_of(1))[0])
        self.fails(NOT_FOUND, "get", self.store, "docs", digest_of(1), says=[digest_of(1)])
        self.fails(NOT_FOUND, "erase", self.store, "docs", digest_of(1), says=[digest_of(1)])
        self.run_tool("erase", self.store, "docs", digest_of(1), "--json", expect=NOT_FOUND)

    def test_records(self):
        self.run_tool("create", self.store)
        self.run_tool("family", "create", self.store, "texts", "--records")
        self.run_tool("put", self.store, "texts", digest_of(1), stdin=b"hello " * 100)
        row = self.json("get", self.store, "texts", digest_of(1))
        self.assertEqual(base64.b64decode(row["payload_base64"]), b"hello " * 100)
        self.assertEqual(base64.b64decode(self.scan("texts", "--vectors")[0]["vector_base64"]), b"hello " * 100)
        self.fails(USAGE, "put", self.store, "texts", digest_of(2), "--vector", "[1]", says=["record"])
        self.run_tool("erase", self.store, "texts", digest_of(1))
        self.assertEqual(self.scan(), [])

    def test_scan_prints_the_fixed_shape(self):
        self.make_store(rows=3)
        rows = self.scan("docs")
        self.assertEqual([set(row) for row in rows], [{"digest", "sequence", "created_at", "xxh3"}] * 3)
        self.assertTrue(all(len(row["xxh3"]) == 16 and len(row["digest"]) == 64 for row in rows))
        with_vectors = self.scan("docs", "--vectors")
        self.assertEqual(set(with_vectors[0]), {"digest", "sequence", "created_at", "xxh3", "vector_base64"})
        self.assertEqual(base64.b64decode(with_vectors[0]["vector_base64"]), struct.pack("<4f", *rows_of(1)[0]))
        self.assertEqual(set(self.scan()[0]), {"digest", "sequence", "created_at", "xxh3"})
        self.run_tool("family", "create", self.store, "other", "--dim", DIM)
        self.assertEqual({row["family"] for row in self.scan()}, {"docs"})
        self.assertEqual(len(self.run_tool("scan", self.store)[0].splitlines()), 3)

    def test_the_sum_of_a_scan_is_plain_xxh3(self):
        self.run_tool("create", self.store)
        self.run_tool("family", "create", self.store, "sum", "--dim", 3, "--dtype", "u8")
        self.run_tool("put", self.store, "sum", digest_of(1), stdin=b"abc")
        self.assertEqual(self.scan()[0]["xxh3"], "78af5f94892f3950")  # xxhsum -H3 of "abc"


class Looking(ToolTest):
    def test_stats(self):
        self.make_store(rows=100)
        stats = self.json("stats", self.store)
        self.assertEqual(stats["families"][0]["live_rows"], 100)
        self.assertEqual(stats["families"][0]["payload_bytes"], 100 * DIM * 4)
        self.assertIn("rejected", stats)
        self.assertIn("docs: 100 live rows", self.run_tool("stats", self.store)[0])
        for backend in ("sync", "auto"):
            self.json("stats", self.store, "--io", backend)
        self.assertEqual(self.json("stats", self.store, "--io", "sync")["io_backend"], "sync")

    def test_inspect_shows_every_kind_of_file(self):
        self.make_store(rows=5)
        self.run_tool("erase", self.store, "docs", digest_of(2))
        self.run_tool("family", "create", self.store, "texts", "--records")
        self.run_tool("put", self.store, "texts", digest_of(1), stdin=b"hello")
        seen = {}
        for path in sorted(self.store.iterdir()):
            if path.name in ("LOCK", "CONTROL") or path.suffix == ".pool":
                continue
            if path.name.startswith("MANIFEST") and not any(path.read_bytes()[:8]):
                continue
            found = self.json("inspect", path, "--rows", 100)
            seen.setdefault(found["kind"], []).append(found)
            self.assertIn(found["kind"], self.run_tool("inspect", path)[0])
        self.assertEqual(set(seen), {"superblock", "manifest", "vector segment", "record segment", "journal"})
        self.assertEqual(seen["superblock"][0]["superblock"]["magic"], "VLITHSTO")
        self.assertTrue(seen["superblock"][0]["copies"]["second_copy_equal"])
        edits = [edit for manifest in seen["manifest"] for edit in manifest["edits"]]
        self.assertIn("docs", [edit.get("name") for edit in edits if edit["edit"] == "CreateFamily"])
        self.assertTrue({"AddSegment", "ReserveSequences"} <= {edit["edit"] for edit in edits})
        vectors = [found for found in seen["vector segment"] if found["rows"]["valid"]]
        self.assertEqual(sum(found["rows"]["valid"] for found in vectors), 5)
        self.assertEqual(vectors[0]["spec"]["dim"], DIM)
        self.assertIn(digest_of(1), [row["digest"] for found in vectors for row in found["valid_rows"]])
        self.assertEqual(sum(found["records"]["valid"] for found in seen["record segment"]), 1)
        erases = [row for found in seen["journal"] for row in found["valid_rows"] if row["kind"] == "erase"]
        self.assertIn(digest_of(2), [row["digest"] for row in erases])

    def test_inspect_of_damaged_and_foreign_files_exits_3(self):
        self.make_store(rows=5)
        self.fails(CORRUPTION, "inspect", self.write("cat.jpg", b"\xff\xd8meow meow"), says=["no file of vectolith"])
        self.fails(CORRUPTION, "inspect", self.write("empty", b""), says=["no file of vectolith"])
        self.fails(NOT_FOUND, "inspect", self.temp / "missing")
        self.fails(USAGE, "inspect", self.store)
        segment = next(self.store.glob("*.vls"))
        content = segment.read_bytes()
        for length in (9, 100, 4096, 4097, len(content) - 1):
            out, _ = self.run_tool("inspect", self.write("cut.vls", content[:length]), expect=CORRUPTION)
            self.assertIn("magic", out)

    def test_fsck_and_sync(self):
        self.make_store(rows=100)
        report = self.json("fsck", self.store)
        self.assertEqual((report["clean"], report["rows"], report["damage"]), (True, 100, 0))
        self.assertIn("clean: 100 rows", self.run_tool("fsck", self.store)[0])
        self.assertEqual(self.json("sync", self.store), {"durable": True})

    def test_bench_prints_its_figures(self):
        figures = self.json("bench", "--rows", 2000, "--dim", 32, env={**os.environ, "TMPDIR": str(self.temp)})
        for name in ("bulk_rows_per_s", "durable_puts_per_s", "get_ns", "get_copy_ns", "scan_rows_per_s"):
            self.assertGreater(figures[name], 0)
        self.assertEqual(list(self.temp.iterdir()), [])
        self.make_store(rows=3)
        self.run_tool("bench", self.store, "--rows", 500, "--dim", 32)
        self.assertEqual([family["name"] for family in self.json("family", "list", self.store)], ["docs"])


class OtherProcess(ToolTest):
    """A store that another process has open: the tool itself, held up by a pipe that nobody reads."""

    def hold(self):
        """Starts `stress`, which serves the socket, and fills its pipe until it stops there."""
        self.make_store(rows=3)
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        process = subprocess.Popen([TOOL, "stress", str(self.store), "--ops", "1000000", "--keys", "50", "--dim", "8",
                                    "--ack-fd", str(write_end)], pass_fds=[write_end], stdout=subprocess.DEVNULL)
        os.close(write_end)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        os.read(read_end, 24)  # the first acknowledgement: the store is open
        return process

    def test_verbs_go_through_the_socket(self):
        self.hold()
        self.assertEqual({f["name"] for f in self.json("family", "list", self.store)}, {"docs", "stress"})
        self.assertEqual({f["name"] for f in self.json("stats", self.store)["families"]}, {"docs", "stress"})
        self.assertEqual(len(self.scan("docs")), 3)
        self.assertEqual(self.json("get", self.store, "docs", digest_of(1))["vector"], rows_of(1)[0])
        self.fails(NOT_FOUND, "get", self.store, "docs", digest_of(99))
        self.assertTrue(self.json("put", self.store, "docs", digest_of(99), "--vector", "[1,2,3,4]", "--durable")["stored"])
        self.fails(USAGE, "put", self.store, "docs", digest_of(98), "--vector", "[0,0,0,0]")
        self.assertEqual(self.json("get", self.store, "docs", digest_of(99))["vector"], [1, 2, 3, 4])
        self.assertTrue(self.json("erase", self.store, "docs", digest_of(99))["existed"])
        self.assertEqual(self.json("sync", self.store), {"durable": True})
        self.assertTrue(self.json("fsck", self.store, "--online")["clean"])
        scrubbed = self.json("scrub", self.store, "--bytes-per-s", 1_000_000_000)
        self.assertTrue(scrubbed["clean"] and scrubbed["complete"])

    def test_verbs_that_need_the_store_alone_exit_5(self):
        self.hold()
        for verb in (["fsck", self.store], ["family", "create", self.store, "x", "--dim", 4],
                     ["family", "drop", self.store, "docs"], ["stress", self.store], ["bench", self.store],
                     ["import", self.store, "docs", self.temp / "rows.npy"],
                     ["export", self.store, "docs", self.temp / "out.npy"]):
            self.fails(LOCKED, *verb, says=["another process"])
        self.assertEqual(len(self.scan("docs")), 3)

    def test_without_a_socket_the_tool_says_how_to_enable_it(self):
        process = self.hold()
        (self.store / "CONTROL").unlink()
        for verb in (["stats"], ["scan"], ["sync"], ["fsck", "--online"]):
            self.fails(LOCKED, *verb, self.store, says=["Options::control"])
        self.assertIsNone(process.poll())

    def test_readers_do_not_shut_each_other_out(self):
        self.make_store(rows=2)
        readers = [subprocess.Popen([TOOL, "scan", str(self.store)], stdout=subprocess.PIPE) for _ in range(8)]
        for reader in readers:
            self.assertEqual(len(reader.communicate()[0].splitlines()), 2)
            self.assertEqual(reader.returncode, OK)


class Stress(ToolTest):
    def run_stress(self, *arguments, first_version=0, ops=2000, acks="acks"):
        with open(self.temp / acks, "ab") as ack, open(self.temp / "intents", "ab") as intent:
            return self.json("stress", self.store, "--seed", 7, "--ops", ops, "--keys", 40, "--dim", 8, "--first-version",
                             first_version, "--ack-fd", ack.fileno(), "--intent-fd", intent.fileno(), *arguments,
                             pass_fds=[ack.fileno(), intent.fileno()])

    def verify(self, *arguments, expect=OK):
        out, _ = self.run_tool("stress", self.store, "--seed", 7, "--keys", 40, "--dim", 8, "--verify", "--ack-file",
                               self.temp / "acks", "--json", *arguments, expect=expect)
        return json.loads(out)

    def records(self):
        content = (self.temp / "acks").read_bytes()
        self.assertEqual(len(content) % 24, 0)
        return [struct.unpack_from("<QQBB6s", content, at) for at in range(0, len(content), 24)]

    def value(self, key, version, dim=8):
        mask = (1 << 64) - 1
        def splitmix64(x):
            x = (x + 0x9E3779B97F4A7C15) & mask
            x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & mask
            x = ((x ^ x >> 27) * 0x94D049BB133111EB) & mask
            return x ^ x >> 31
        base = 7 + 0x9E3779B97F4A7C15 * (key * 1000003 + version)
        return struct.pack(f"<{dim}f", *[(splitmix64((base + j) & mask) >> 40) / 8388608 - 1 for j in range(dim)])

    def test_an_outside_checker_can_judge_a_run(self):
        """The check below uses nothing of the tool's own verifier."""
        for level, threads in (("buffered", 1), ("durable", 3)):
            with self.subTest(level):
                counts = self.run_stress("--threads", threads, "--level", level, ops=2000 if level == "buffered" else 300)
                records = self.records()
                self.assertEqual(len(records), counts["puts"] + counts["replaces"] + counts["erases"])
                expected, versions = {}, {}
                for key, version, op, record_level, zero in records:
                    self.assertEqual((record_level, zero), (1 if level == "buffered" else 2, bytes(6)))
                    self.assertEqual(version, versions.get(key, -1) + 1)
                    versions[key] = version
                    if op == 1:
                        expected[digest_of(key + 1)] = self.value(key, version)
                    else:
                        self.assertEqual(op, 2)
                        del expected[digest_of(key + 1)]
                stored = {row["digest"]: base64.b64decode(row["vector_base64"]) for row in self.scan("stress", "--vectors")}
                self.assertEqual(stored, expected)
                shutil.rmtree(self.store)
                (self.temp / "acks").unlink()

    def test_reruns_take_up_at_the_first_version(self):
        self.run_stress()
        self.run_stress("--threads", 4, first_version=10000)
        versions = [version for _, version, *_ in self.records()]
        self.assertGreaterEqual(max(versions), 10000)
        report = self.verify("--first-version", 0, "--first-version", 10000, "--intent-file", self.temp / "intents")
        self.assertEqual((report["violations"], report["in_flight"], report["acknowledged"]), (0, 0, 40))
        self.verify("--threads", 4, "--first-version", 0, "--first-version", 10000, "--recover")

    def test_kills_leave_little_behind(self):
        """What is not merged yet must at least be small: a thousand kills stay below 64 MiB."""
        allocated = []
        for number in range(30):
            read_end, write_end = os.pipe()
            process = subprocess.Popen([TOOL, "stress", self.store, "--ops", "1000000", "--keys", "50", "--dim", "768",
                                        "--first-version", str(number * 1000000), "--ack-fd", str(write_end)],
                                       pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            os.close(write_end)
            os.read(read_end, 24)
            process.kill()
            process.wait()
            os.close(read_end)
            if number in (9, 29):
                self.run_tool("sync", self.store)  # recovers, seals and closes
                allocated.append(sum(path.stat().st_blocks * 512 for path in self.store.iterdir()))
        rows = json.loads(self.run_tool("fsck", self.store, "--json")[0])["rows"]
        self.assertLess((allocated[1] - allocated[0]) / 20, 65536 + rows / 20 * 3136 * 1.3)

    def test_the_same_seed_takes_the_same_steps(self):
        first = self.run_stress("--threads", 1)
        again = (self.temp / "acks").read_bytes()
        shutil.rmtree(self.store)
        (self.temp / "acks").unlink()
        second = self.run_stress("--threads", 1)
        self.assertEqual((self.temp / "acks").read_bytes(), again)
        self.assertEqual({k: v for k, v in first.items() if k != "seconds"},
                         {k: v for k, v in second.items() if k != "seconds"})

    def test_verify_finds_every_kind_of_loss(self):
        self.run_stress("--erase-ratio", "0.3")
        last = {}
        for key, version, op, *_ in self.records():
            last[key] = (version, op)
        present = [key for key, (_, op) in last.items() if op == 1]
        erased = [key for key, (_, op) in last.items() if op == 2]
        intents = ("--intent-file", self.temp / "intents")
        # A row that is gone.
        self.run_tool("erase", self.store, "stress", digest_of(present[0] + 1))
        self.assertEqual(self.verify(*intents, expect=CORRUPTION)["violations"], 1)
        # An erase that came back, with the bytes of the version before it.
        stale = self.value(erased[0], last[erased[0]][0] - 1)
        self.run_tool("put", self.store, "stress", digest_of(erased[0] + 1), stdin=stale)
        # A version that is too old, one from the future, and a mixture.
        for key, content in ((present[1], self.value(present[1], last[present[1]][0] + 2)),
                             (present[2], self.value(present[2], 0)[:16] + self.value(present[2], 1)[16:])):
            self.run_tool("put", self.store, "stress", digest_of(key + 1), "--replace", stdin=content)
        # A key that nobody put.
        self.run_tool("put", self.store, "stress", "ff" * 32, stdin=self.value(1, 1))
        report = self.verify(*intents, expect=CORRUPTION)
        self.assertEqual(report["violations"], 5, report)
        self.assertIn("FAILED", self.run_tool("stress", self.store, "--seed", 7, "--keys", 40, "--dim", 8, "--verify",
                                              "--ack-file", self.temp / "acks", expect=CORRUPTION)[0])

    def test_an_operation_in_flight_may_be_there_or_not(self):
        self.run_stress("--erase-ratio", "0")
        acks = (self.temp / "acks").read_bytes()
        (self.temp / "acks").write_bytes(acks[:-24])  # as if the process had died before the last record
        report = self.verify("--intent-file", self.temp / "intents")
        self.assertEqual((report["violations"], report["in_flight"]), (0, 1))
        self.assertEqual(self.verify("--threads", 1)["in_flight"], 1)
        (self.temp / "acks").write_bytes(acks[:-72])  # one thread cannot have had three in flight
        self.verify("--threads", 1, expect=CORRUPTION)

    def test_a_store_that_lies_is_caught_while_it_runs(self):
        self.run_stress("--erase-ratio", "0")
        wrong = struct.pack("<8f", *range(1, 9))
        for key in range(40):
            self.run_tool("put", self.store, "stress", digest_of(key + 1), "--replace", stdin=wrong)
        _, err = self.run_tool("stress", self.store, "--seed", 7, "--keys", 40, "--dim", 8, "--first-version", 500,
                               "--erase-ratio", 0, "--replace-ratio", 0, expect=CORRUPTION)
        self.assertIn("no version of this key", err)

    def test_an_ack_file_that_is_none_and_a_closed_descriptor_are_errors(self):
        self.run_stress()
        self.write("acks", bytes(25))
        self.run_tool("stress", self.store, "--verify", "--ack-file", self.temp / "acks", expect=CORRUPTION)
        self.write("acks", bytes(24))
        self.run_tool("stress", self.store, "--verify", "--ack-file", self.temp / "acks", expect=CORRUPTION)
        self.run_tool("stress", self.store, "--dim", 8, "--first-version", 9000, "--ack-fd", 77, expect=IO_ERROR)


if __name__ == "__main__":
    TOOL = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=1)
