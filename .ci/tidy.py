#!/usr/bin/env python3
"""Runs clang-tidy over our own sources of a build folder: tidy.py BUILD_FOLDER STAMP_FOLDER.

Warnings, clang's own among them, are errors. A file that passed is skipped until the tool, the checks, its compile
command or any file that it includes changes.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

TOOL = "clang-tidy-14"
# The compile commands are those of GCC. librdkafka's macros are statement expressions, which clang calls pedantic.
WARNINGS = ["-Wthread-safety", "-Wno-unknown-warning-option", "-Wno-gnu-statement-expression"]
OPTIONS = ["--quiet", "--warnings-as-errors=*", *(f"--extra-arg={warning}" for warning in WARNINGS)]
JOBS = 2
STAMP_AGE_SECONDS_MAX = 30 * 24 * 3600

root = pathlib.Path(__file__).resolve().parent.parent


def own_sources(build):
    """Compile commands of the files of the source tree, without the generated ones."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["file"])
        if file.is_relative_to(root) and not file.is_relative_to(root / "build"):
            yield entry


def included_files(build):
    """What the last build recorded: object file -> the files that its compilation read."""
    text = subprocess.run(["ninja", "-C", build, "-t", "deps"], check=True, capture_output=True, text=True).stdout
    files = {}
    current = []
    for line in text.splitlines():
        if line.startswith("    "):
            current.append(build / line.strip())
        elif ": #deps " in line:
            current = files.setdefault(line.split(":", 1)[0], [])
    return files


class Digests:
    """Content digests, each file read once."""

    def __init__(self):
        self._known = {}

    def of(self, path):
        path = os.path.normpath(path)
        if path not in self._known:
            self._known[path] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
        return self._known[path]


def digest(entry, dependencies, tool, digests):
    """A name for everything that clang-tidy's answer about this file depends on."""
    summary = hashlib.sha256()
    parts = [tool, *OPTIONS, entry["command"].replace(str(root), ".")]
    for folder in pathlib.Path(entry["file"]).parents:
        if (folder / ".clang-tidy").exists():
            parts.append(digests.of(folder / ".clang-tidy"))
        if folder == root:
            break
    parts += [digests.of(file) for file in [entry["file"], *dependencies]]
    for part in parts:
        summary.update(part.encode() + b"\0")
    return summary.hexdigest()


def check(entry, build, stamp):
    """Checks one file; returns what there is to say, which is nothing when all is well."""
    result = subprocess.run([TOOL, *OPTIONS, "-p", build, entry["file"]], capture_output=True, text=True)
    if result.returncode == 0:
        stamp.touch()
        return ""
    return result.stdout.strip() or result.stderr.strip() or f"{entry['file']}: {TOOL} ended with {result.returncode}"


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    stamps = pathlib.Path(sys.argv[2]).resolve()
    stamps.mkdir(parents=True, exist_ok=True)
    for stamp in stamps.iterdir():
        if stamp.stat().st_mtime < time.time() - STAMP_AGE_SECONDS_MAX:
            stamp.unlink()

    tool = subprocess.run([TOOL, "--version"], check=True, capture_output=True, text=True).stdout
    included = included_files(build)
    digests = Digests()
    waiting = []
    count = 0
    for entry in own_sources(build):
        count += 1
        arguments = shlex.split(entry["command"])
        dependencies = included.get(arguments[arguments.index("-o") + 1])
        if dependencies is None:
            sys.exit(f"{entry['file']} is not built, so what it includes is not known")
        stamp = stamps / digest(entry, dependencies, tool, digests)
        if stamp.exists():
            stamp.touch()
        else:
            waiting.append((entry, stamp))
    if count == 0:
        sys.exit(f"no sources in {build}/compile_commands.json")
    if os.environ.get("SALDO_PROGRESS") or sys.stderr.isatty():
        print(f"clang-tidy: {len(waiting)} of {count} files to check", file=sys.stderr, flush=True)

    # The largest files first, so that none of them is alone at the end.
    waiting.sort(key=lambda item: -os.path.getsize(item[0]["file"]))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for said in pool.map(lambda item: check(item[0], build, item[1]), waiting):
            if said:
                failed += 1
                print(said, file=sys.stderr, flush=True)
    if failed:
        sys.exit(f"clang-tidy: {failed} files with warnings")


main()
