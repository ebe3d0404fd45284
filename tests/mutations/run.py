"""Breaks one promise at a time, and reports which of them no test notices.

Every entry of the *.toml files beside this one is a mutation: a snippet of the source that keeps a promise (where it is not
the only one of its kind, `within` a longer one), what takes its place, and the tests that should notice. All of them are compiled at once, each behind a switch that an environment
variable turns on, in a copy of the tree; the tree itself has no switches. `scripts/mutants` provides the servers.

A survivor is a promise that could be broken unnoticed. It needs a test, or a `reason` why none can notice.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
# The share of all mutations that tests must notice.
WANTED = 0.95
# A mutation may make a test wait forever. Its tests have so many times as long as they take without it, and at least so
# many seconds.
PATIENCE = 3
LEAST_PATIENCE_SECONDS = 60
# How long the tests of a mutation may take without it.
BASELINE_SECONDS = 3600
AT_ONCE = 2

SWITCH = """

pub(crate) mod mutation {
    //! Written by tests/mutations/run.py.

    /// Returns whether this process runs with the mutation.
    pub(crate) fn is_on(name: &str) -> bool {
        static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        NAME.get_or_init(|| std::env::var("MAINSTAY_MUTATION").unwrap_or_default()) == name
    }
}
"""


def mutations():
    """All entries, each with the area that its file is about."""
    found = []
    for path in sorted(HERE.glob("*.toml")):
        area = tomllib.loads(path.read_text())
        for entry in area["mutation"]:
            found.append({"tests": area.get("tests"), **entry, "area": path.stem})
    names = [entry["name"] for entry in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        sys.exit(f"mutants: several mutations are called {', '.join(sorted(twice))}")
    return found


def crate_root(file):
    """The file that the switch of a source file's crate is written to."""
    crate = pathlib.PurePath(file).parts[: pathlib.PurePath(file).parts.index("src") + 1]
    return "/".join(crate) + "/lib.rs"


def switched(original, mutants):
    """The code that is one of several, as an expression or a statement like the original."""
    is_statement = original.rstrip().endswith((";", "}"))
    code = ""
    for entry in mutants:
        code += f'if crate::mutation::is_on("{entry["name"]}") {{ {entry["mutated"]} }} else '
    code += f"{{ {original} }}"
    return code if is_statement else f"({code})"


def rewrite(text, entries, file):
    """The source with a switch at every place."""
    places = {}
    for entry in entries:
        original, within = entry["original"], entry.get("within", entry["original"])
        if text.count(within) != 1 or within.count(original) != 1:
            sys.exit(f"mutants: {entry['name']}: {file} must have its snippet once")
        places.setdefault((text.index(within) + within.index(original), original), []).append(entry)
    end = len(text)
    for (start, original), mutants in sorted(places.items(), reverse=True):
        if start + len(original) > end:
            sys.exit(f"mutants: {mutants[0]['name']}: its snippet overlaps another one; give both the same snippet")
        text = text[:start] + switched(original, mutants) + text[start + len(original) :]
        end = start
    return text


def copy(scratch, entries):
    """Writes the tree with its switches. Files that are the same stay untouched, so that cargo builds only what changed."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=TREE, check=True, capture_output=True
    ).stdout
    by_file = {}
    for entry in entries:
        by_file.setdefault(entry["file"], []).append(entry)
    roots = {crate_root(file) for file in by_file}
    kept = set()
    for name in filter(None, names.decode().split("\0")):
        source, target = TREE / name, scratch / name
        if not source.is_file():
            continue
        kept.add(target)
        content = source.read_bytes()
        if name in by_file:
            content = rewrite(content.decode(), by_file[name], name).encode()
        if name in roots:
            content += SWITCH.encode()
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(source.stat().st_mode)
    for old in scratch.rglob("*"):
        if old.is_file() and old not in kept and ".metadata" not in old.parts:
            old.unlink()


def build(scratch):
    """Compiles all tests, and returns the arguments by which the runner finds them without cargo."""
    metadata = scratch / ".metadata"
    metadata.mkdir(exist_ok=True)
    commands = {
        "cargo": ["cargo", "metadata", "--format-version", "1", "--locked"],
        "binaries": [
            "cargo", "nextest", "list", "--locked", "--workspace", "--features", "fault-injection", "--lib", "--test", "it",
            "--list-type", "binaries-only", "--message-format", "json",
        ],
    }  # fmt: skip
    arguments = []
    for name, command in commands.items():
        path = metadata / f"{name}.json"
        path.write_bytes(subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.PIPE).stdout)
        arguments += [f"--{name}-metadata", str(path)]
    return arguments


def check_filters(scratch, arguments, filters):
    """Ends if a filter names tests that there are none of: another part of it may match, so that nobody would see it."""
    command = ["cargo", "nextest", "list", *arguments, "--message-format", "json"]
    output = subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.PIPE).stdout
    names = [name for suite in json.loads(output)["rust-suites"].values() for name in suite["testcases"]]

    def matches(part):
        if part.startswith("="):
            return part[1:] in names
        return any(re.search(part.strip("/"), name) for name in names)

    parts = {part for tests in filters for part in re.findall(r"test\((/[^/]*/|=[^)]*)\)", tests)}
    idle = sorted(f"test({part})" for part in parts if not matches(part))
    if idle:
        sys.exit(f"mutants: no test matches {', '.join(idle)}")


def run(scratch, arguments, tests, patience, mutation="", fail_fast=True):
    """Runs the tests, and returns whether they passed in time, whether the time was up, and the output."""
    command = ["cargo", "nextest", "run", *arguments, "--no-tests=fail", "--test-threads=2", "-E", tests]
    command += ["--status-level=fail", "--fail-fast" if fail_fast else "--no-fail-fast"]
    process = subprocess.Popen(
        command,
        cwd=scratch,
        env={**os.environ, "MAINSTAY_MUTATION": mutation},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate()
        return False, True, output
    if process.returncode not in (0, 100):
        sys.exit(f"mutants: {mutation or 'the tests'}: `{tests}` did not run:\n{output}")
    return process.returncode == 0, False, output


def main():
    parser = argparse.ArgumentParser(description="Breaks one promise at a time, and reports what no test notices.")
    parser.add_argument("only", nargs="?", default="", help="a regular expression for `area/name`")
    parser.add_argument("--scratch", type=pathlib.Path, required=True, help="where the copy and its build are kept")
    options = parser.parse_args()
    every = mutations()
    chosen = [entry for entry in every if re.search(options.only, f"{entry['area']}/{entry['name']}")]
    if not chosen:
        sys.exit(f"mutants: no mutation is called {options.only}")
    tree = options.scratch / "tree"
    # A build of the real tree meanwhile would replace the program that the tests start.
    os.environ["CARGO_TARGET_DIR"] = str(options.scratch / "target")
    tree.mkdir(parents=True, exist_ok=True)
    copy(tree, every)
    arguments = build(tree)

    filters = sorted({entry["tests"] for entry in chosen})
    check_filters(tree, arguments, sorted({entry["tests"] for entry in every}))
    print(f"{len(chosen)} mutations; first their tests without any of them", flush=True)

    def timed(tests):
        """As many run at once as later with the mutations, so that the times can be compared."""
        since = time.monotonic()
        good, _, output = run(tree, arguments, tests, BASELINE_SECONDS, fail_fast=False)
        return time.monotonic() - since if good else output

    def tried(entry):
        since = time.monotonic()
        usual = seconds[entry["tests"]]
        patience = max(PATIENCE * usual, LEAST_PATIENCE_SECONDS)
        survived, late, output = run(tree, arguments, entry["tests"], patience, entry["name"])
        killer = re.search(r"(FAIL|TIMEOUT|SIGABRT|SIGKILL|SIGSEGV) \[.*?\](?: \(.*?\))? *(.*)", output)
        if killer:
            late = killer[1] == "TIMEOUT"
        by = "survived" if survived else f"killed by {killer[2].strip() if killer else '?'}"
        if late:
            by = f"killed by timeout (its tests usually take {usual:.0f} s)"
        reason = f" (accepted: {entry['reason']})" if survived and "reason" in entry else ""
        print(f"{entry['area']}/{entry['name']}: {by}{reason} [{time.monotonic() - since:.0f} s]", flush=True)
        return survived, late

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        seconds = dict(zip(filters, threads.map(timed, filters)))
        failed = [f"`{tests}`:\n{output}" for tests, output in seconds.items() if isinstance(output, str)]
        if failed:
            sys.exit("mutants: the tests fail without a mutation:\n" + "\n".join(failed))
        outcomes = list(zip(chosen, threads.map(tried, chosen)))
    survived = [entry for entry, (survives, _) in outcomes if survives]
    killed, late = len(chosen) - len(survived), sum(late for _, (_, late) in outcomes)
    unexplained = [f"{entry['area']}/{entry['name']}" for entry in survived if "reason" not in entry]
    print(f"{killed} of {len(chosen)} mutations were noticed ({killed / len(chosen):.1%}), {late} of them by a timeout")
    if unexplained:
        sys.exit("mutants: survivors without a reason: " + ", ".join(unexplained))
    if not options.only and killed < WANTED * len(chosen):
        sys.exit(f"mutants: fewer than {WANTED:.0%} were noticed")


main()
