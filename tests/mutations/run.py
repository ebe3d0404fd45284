"""Mutation testing: breaks one promise at a time, and reports those that no test detects.

Every entry of the *.toml files beside this one is a mutation: a snippet of the source that keeps a promise (where it is not
the only one of its kind, `within` a longer one), what takes its place, and the tests that should notice. All of them are
compiled at once, each behind a switch that an environment variable turns on, in a copy of the tree; the tree itself has no
switches. `scripts/mutants` provides the servers.

killers.txt names the test that noticed each mutation the last time. It alone runs first; only if it passes, or if there is
none yet, do all of the mutation's `tests`. `--record` writes down which of them noticed.

A survivor is a promise that could be broken unnoticed. It needs a test, or a `reason` why none can notice.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
# The share of all mutations that tests must detect.
WANTED = 0.95
# A mutation may make a test wait forever. The recorded one has so many times as long as it takes without the mutation, and
# at least so many seconds; each of the others has what the profile `mutants` of .config/nextest.toml says.
PATIENCE = 3
LEAST_PATIENCE_SECONDS = 60
# How long a single test may take without a mutation.
USUAL_SECONDS = 300
# The maximum time that all tests of a mutation may take together.
ALL_TESTS_SECONDS = 1800
# How long the runner may take to end its tests.
GRACE_SECONDS = 30
# Most tests wait about as long as they compute.
AT_ONCE = 3
KILLERS = HERE / "killers.txt"
KILLERS_HEADER = """\
# The test that noticed each mutation the last time, which `make mutants` runs first: AREA/NAME BINARY TEST.
# Written by `make mutants ARGS=--record`.
"""
# A test of each suite whose tests copy a database.
COPIES_THE_DATABASE = (
    "mainstay::it session::keys::the_command_rotates_the_keys",
    "fleet::it contract::the_tables_are_in_a_schema_of_their_own",
)
# The inputs of an earlier run's results. Tests may change, because undetected mutations are tried again in any case.
SOURCES = ("src/", "crates/", "migrations/", "proto/", "Cargo.")

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
    """All entries, each with the area of its file."""
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


def title(entry):
    return f"{entry['area']}/{entry['name']}"


def read_killers():
    """The recorded tests, by the titles of the mutations."""
    lines = KILLERS.read_text().splitlines() if KILLERS.exists() else []
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def write_killers(killers):
    KILLERS.write_text(KILLERS_HEADER + "".join(f"{name} {test}\n" for name, test in sorted(killers.items())))


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
    """Writes the tree with its switches, and returns a hash of its sources without them.

    Unchanged files are not touched, so that cargo builds only changed crates.
    """
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=TREE, check=True, capture_output=True
    ).stdout
    by_file = {}
    for entry in entries:
        by_file.setdefault(entry["file"], []).append(entry)
    roots = {crate_root(file) for file in by_file}
    kept = set()
    sources = hashlib.sha256()
    for name in sorted(filter(None, names.decode().split("\0"))):
        source, target = TREE / name, scratch / name
        if source.is_symlink():
            if not target.is_symlink() or target.readlink() != source.readlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                target.symlink_to(source.readlink())
            kept.add(target)
            continue
        if not source.is_file():
            continue
        kept.add(target)
        content = source.read_bytes()
        if name.startswith(SOURCES):
            sources.update(name.encode() + b"\0" + content)
        if name in by_file:
            content = rewrite(content.decode(), by_file[name], name).encode()
        if name in roots:
            content += SWITCH.encode()
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(source.stat().st_mode)
    for folder, _, files in os.walk(scratch):
        for old in (pathlib.Path(folder, file) for file in files):
            if old not in kept and ".metadata" not in old.parts:
                old.unlink()
    return sources.hexdigest()


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


def list_tests(tree, arguments):
    """The suites with their programs and tests, by the names that the runner gives them."""
    command = ["cargo", "nextest", "list", *arguments, "--message-format", "json"]
    output = subprocess.run(command, cwd=tree, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output)["rust-suites"]


def check_filters(suites, filters):
    """Exits if a part of a filter matches no tests, which another part that matches would hide."""
    names = [name for suite in suites.values() for name in suite["testcases"]]

    def matches(part):
        if part.startswith("="):
            return part[1:] in names
        return any(re.search(part.strip("/"), name) for name in names)

    parts = {part for tests in filters for part in re.findall(r"test\((/[^/]*/|=[^)]*)\)", tests)}
    idle = sorted(f"test({part})" for part in parts if not matches(part))
    if idle:
        sys.exit(f"mutants: no test matches {', '.join(idle)}")


class Unclear(Exception):
    """A test fails without the mutation too."""


class Ended(Exception):
    """The run ends before the result is known."""


def end(process):
    """Ends a process with a separate group, and the processes it left behind."""
    # The runner ends its tests, which have separate process groups, only if it is told to.
    for kind, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        if process.poll() is None:
            send(process, kind)
            try:
                process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                pass
    send(process, signal.SIGKILL)


def send(process, kind):
    try:
        os.killpg(process.pid, kind)
    except (ProcessLookupError, PermissionError):
        pass


class Runner:
    """Runs tests with and without mutations, from several threads."""

    def __init__(self, tree, arguments, suites):
        self.tree, self.arguments, self.suites = tree, arguments, suites
        self.lock = threading.Lock()
        self.processes = set()
        self.has_ended = False
        # How long each test takes without a mutation; None if it fails.
        self.seconds = {}
        self.measuring = collections.defaultdict(threading.Lock)

    def knows(self, test):
        suite, _, name = test.partition(" ")
        return name in self.suites.get(suite, {}).get("testcases", {})

    def end(self):
        """Ends all running processes."""
        with self.lock:
            self.has_ended = True
            processes = list(self.processes)
        for process in processes:
            send(process, signal.SIGTERM)
        for process in processes:
            end(process)

    def run(self, command, cwd, mutation, patience):
        """Runs a command, and returns its status, None if its time was up, and its output."""
        environment = {**os.environ, "MAINSTAY_MUTATION": mutation}
        # Not a pipe: what a test leaves behind may keep that open.
        with tempfile.TemporaryFile() as output:
            with self.lock:
                if self.has_ended:
                    raise Ended
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self.processes.add(process)
            try:
                status = process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                status = None
            end(process)
            with self.lock:
                self.processes.discard(process)
                if self.has_ended:
                    raise Ended
            output.seek(0)
            return status, output.read().decode(errors="replace")

    def run_test(self, test, mutation, patience):
        """Runs one test, without the runner."""
        suite, _, name = test.partition(" ")
        suite = self.suites[suite]
        return self.run([suite["binary-path"], "--exact", name, "--nocapture"], suite["cwd"], mutation, patience)

    def usual_seconds(self, test):
        """Returns how long a test takes without a mutation, in seconds."""
        with self.lock:
            measuring = self.measuring[test]
        with measuring:
            if test not in self.seconds:
                since = time.monotonic()
                status, _ = self.run_test(test, "", USUAL_SECONDS)
                self.seconds[test] = time.monotonic() - since if status == 0 else None
        if self.seconds[test] is None:
            raise Unclear(f"{test} fails without a mutation")
        return self.seconds[test]

    def notices(self, test, mutation):
        """Returns whether the test fails with the mutation, and whether it did so by taking too long."""
        patience = max(PATIENCE * self.usual_seconds(test), LEAST_PATIENCE_SECONDS)
        status, _ = self.run_test(test, mutation, patience)
        return status != 0, status is None

    def run_all(self, tests, mutation):
        """Runs all tests of a mutation to the first that fails, and returns whether all passed, and which failed."""
        command = ["cargo", "nextest", "run", *self.arguments, "--profile=mutants", "-E", tests, "--color=never"]
        # Sequentially, because the machine already runs the maximum number of mutations concurrently.
        command += ["--no-tests=fail", "--test-threads=1", "--status-level=fail", "--fail-fast"]
        status, output = self.run(command, self.tree, mutation, ALL_TESTS_SECONDS)
        # Status 100 means a failed test, and 4 that there is no test.
        if status not in (None, 0, 4, 100):
            raise RuntimeError(f"{mutation}: `{tests}` did not run:\n{output}")
        failed = re.search(r"^ *(?:[A-Z][A-Z0-9+ -]*) \[[^\]]*\](?: +\([^)]*\))? +(\S+) +(\S+)$", output, re.MULTILINE)
        return status, f"{failed[1]} {failed[2]}" if failed else None


def check_servers():
    """Fails if the servers are gone: every test would fail then, and every mutation be noticed."""
    for name in ("MAINSTAY_TEST_DATABASE_URL", "MAINSTAY_TEST_REDIS_URL"):
        url = urllib.parse.urlsplit(os.environ[name])
        try:
            socket.create_connection((url.hostname, url.port), timeout=10).close()
        except OSError as error:
            raise RuntimeError(f"the server of {name} does not answer: {error}") from error


def attempt(runner, entry, recorded):
    """Tries a mutation. The result has the test that noticed it, if one did."""
    mutation, tests = entry["name"], entry["tests"]
    if recorded and runner.knows(recorded):
        is_noticed, is_late = runner.notices(recorded, mutation)
        if is_noticed:
            return {"killed": True, "by": recorded, "late": is_late}
    excluded = 0
    while True:
        status, failed = runner.run_all(tests, mutation)
        if status == 4 and not excluded:
            raise RuntimeError(f"{mutation}: `{tests}` selects no test")
        if status in (0, 4):
            return {"killed": False, "by": None, "late": False}
        if not failed or not runner.knows(failed):
            return {"killed": True, "by": None, "late": status is None}
        # It must fail again when run alone.
        is_noticed, is_late = runner.notices(failed, mutation)
        if is_noticed:
            return {"killed": True, "by": failed, "late": is_late}
        suite, _, name = failed.partition(" ")
        tests = f"({tests}) - (binary_id(={suite}) & test(={name}))"
        excluded += 1


def tried(runner, entry, recorded):
    since = time.monotonic()
    try:
        result = attempt(runner, entry, recorded)
    except Unclear as why:
        result = {"killed": False, "by": None, "late": False, "unclear": str(why)}
    if result["killed"]:
        check_servers()
    return {"name": title(entry), **result, "seconds": round(time.monotonic() - since, 1)}


def prepare(runner):
    """Runs a test of each suite without a mutation: the first one makes the database that the others copy, all of them."""
    for test in COPIES_THE_DATABASE:
        if runner.knows(test):
            runner.usual_seconds(test)


def outcome(entry, result):
    if "unclear" in result:
        return f"unclear: {result['unclear']}"
    if result["killed"]:
        late = " by a timeout" if result["late"] else ""
        return f"killed{late}" + (f" by {result['by']}" if result["by"] else "")
    return f"survived ({entry['reason']})" if "reason" in entry else "SURVIVED"


class Results:
    """The results so far, in a file that an interrupted run goes on with."""

    def __init__(self, path, sources):
        self.path, self.sources = path, sources
        lines = path.read_text().splitlines() if path.exists() else []
        # The last line may be incomplete, and the last entry of a mutation counts.
        self.known = {}
        for line in lines:
            try:
                result = json.loads(line)
            except ValueError:
                continue
            self.known[result["name"]] = result

    def key(self, entry):
        """Changes when the result may."""
        return hashlib.sha256((self.sources + json.dumps(entry, sort_keys=True)).encode()).hexdigest()[:16]

    def final(self, entry):
        """The result of an earlier run, unless it has to be tried again."""
        result = self.known.get(title(entry))
        if not result or result["key"] != self.key(entry) or "unclear" in result:
            return None
        return result if result["killed"] or "reason" in entry else None

    def forget(self, entries):
        for entry in entries:
            self.known.pop(title(entry), None)
        new = self.path.with_suffix(".new")
        new.write_text("".join(json.dumps(result) + "\n" for result in self.known.values()))
        new.replace(self.path)

    def add(self, entry, result):
        with self.path.open("a") as file:
            file.write(json.dumps({**result, "key": self.key(entry)}) + "\n")


def report(chosen, results, killers, records, is_whole):
    """Prints the summary, writes the record, and ends with 1 if there is something to do."""

    def by(entry):
        return results[title(entry)]["by"]

    survivors = [entry for entry in chosen if not results[title(entry)]["killed"]]
    killed, late = len(chosen) - len(survivors), sum(results[title(entry)]["late"] for entry in chosen)
    unclear = [entry for entry in survivors if "unclear" in results[title(entry)]]
    accepted = [entry for entry in survivors if "reason" in entry and entry not in unclear]
    unlisted = [entry for entry in survivors if entry not in accepted and entry not in unclear]
    # Detected, but not by the recorded test.
    gone = [entry for entry in chosen if entry not in survivors and killers.get(title(entry), by(entry)) != by(entry)]
    print(
        f"\n{len(chosen)} mutations: {killed} killed ({killed / len(chosen):.1%}, {late} by a timeout), "
        f"{len(survivors)} survived, {len(accepted)} of them with a reason"
    )
    for entry in accepted:
        print(f"  {title(entry)} survives: {entry['reason']}")
    if records:
        for entry in chosen:
            if by(entry):
                killers[title(entry)] = by(entry)
            elif "unclear" not in results[title(entry)]:
                killers.pop(title(entry), None)
        write_killers(killers)
        print(f"  recorded in {KILLERS.relative_to(TREE)}")
    faults = [f"{title(entry)} is unclear: {results[title(entry)]['unclear']}" for entry in unclear]
    faults += [f"{title(entry)} survives, and has no reason" for entry in unlisted]
    if not records:
        for entry in gone:
            recorded = killers[title(entry)]
            faults.append(f"{title(entry)} is not noticed by {recorded} any more; --record would write down {by(entry)}")
    if is_whole and killed < WANTED * len(chosen):
        faults.append(f"fewer than {WANTED:.0%} were killed")
    if faults:
        sys.exit("mutants:\n" + "\n".join(f"  {fault}" for fault in faults))


def main():
    parser = argparse.ArgumentParser(description="Breaks one promise at a time, and reports what no test notices.")
    parser.add_argument("--only", default="", metavar="PATTERN", help="a regular expression for AREA/NAME")
    parser.add_argument("--new", action="store_true", help="only the mutations that no test is recorded for")
    parser.add_argument("--record", action="store_true", help="write down which test noticed each mutation")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--jobs", type=int, default=AT_ONCE, help=f"how many are tried at once; {AT_ONCE} if not given")
    parser.add_argument("--scratch", type=pathlib.Path, required=True, help="where the copy, its build and the results are")
    options = parser.parse_args()
    # The same as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    every = mutations()
    titles = {title(entry) for entry in every}
    killers = {name: test for name, test in read_killers().items() if name in titles}
    chosen = [entry for entry in every if re.search(options.only, title(entry))]
    if not chosen:
        sys.exit(f"mutants: no mutation is called {options.only}")
    if options.new:
        chosen = [entry for entry in chosen if title(entry) not in killers and "reason" not in entry]
        if not chosen:
            print("mutants: a test is recorded for each of them")
            return
    tree = options.scratch / "tree"
    # A build of the real tree meanwhile would replace the program that the tests start.
    os.environ["CARGO_TARGET_DIR"] = str(options.scratch / "target")
    tree.mkdir(parents=True, exist_ok=True)
    stored = Results(options.scratch / "results.jsonl", copy(tree, every))
    arguments = build(tree)
    suites = list_tests(tree, arguments)
    check_filters(suites, sorted({entry["tests"] for entry in every}))

    results = {}
    if options.resume:
        results = {title(entry): stored.final(entry) for entry in chosen if stored.final(entry)}
    left = [entry for entry in chosen if title(entry) not in results]
    stored.forget(left)
    print(f"{len(left)} mutations" + (f", after {len(results)} of an earlier run" if options.resume else ""), flush=True)
    runner = Runner(tree, arguments, suites)
    pool = concurrent.futures.ThreadPoolExecutor(max(1, options.jobs))
    since = time.monotonic()
    try:
        prepare(runner)
        trials = {pool.submit(tried, runner, entry, killers.get(title(entry))): entry for entry in left}
        for number, trial in enumerate(concurrent.futures.as_completed(trials), 1):
            entry, result = trials[trial], trial.result()
            results[title(entry)] = result
            stored.add(entry, result)
            passed = time.monotonic() - since
            print(
                f"[{number}/{len(left)}, {passed / 60:.0f} min] {title(entry)}: {outcome(entry, result)} "
                f"[{result['seconds']:.0f} s]",
                flush=True,
            )
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        runner.end()
        if isinstance(error, KeyboardInterrupt):
            sys.exit("mutants: interrupted; --resume goes on with the rest")
        if isinstance(error, (RuntimeError, Unclear)):
            sys.exit(f"mutants: {error}\n--resume goes on with the rest")
        raise
    report(chosen, results, killers, options.record, is_whole=len(chosen) == len(every))


main()
