"""Runs a fleet of generated customers, some of them broken, and says what it cost.

    python benches/fleet.py --medallion target/release/medallion [--customers 500] [--jobs N]

1. Generates customers of reference size: seed and scale (0.95 to 1.05) differ. Ten of them are broken in ten ways.
2. Runs one sound customer alone, several times: the CPU seconds that a customer costs by itself.
3. Runs all: what was published, what failed and why, seconds and CPU seconds of a customer, how busy the cores were,
   the memory of the fleet's own process and of all processes, sampled, after 50 customers and at the end.
   CPU figures include what the broken customers cost, which is little.
4. Runs a second fleet into another lake, kills it (SIGKILL) half way, finishes it with --retry-failed and checks that
   what was done was not run again.

Ends with 1 if anything is not as it should be. CPU time is what the kernel counts for the processes, so that other work
on the machine disturbs it less than the clock. Linux only (/proc), nothing but Python's standard library.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

AS_OF = "2025-06-30"
ALONE = 5
MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--medallion", required=True, help="the release binary")
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="customers at the same time (default: cores)")
    parser.add_argument("--killed", type=int, help="customers of the fleet that is killed (default: a fifth, 20 at least)")
    parser.add_argument("--profile", default="reference")
    parser.add_argument("--folder", help="where to work (default: the folder for temporary files)")
    parser.add_argument("--keep", action="store_true", help="leave the folder there")
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="medallion-fleet-", dir=options.folder))
    try:
        Bench(options, work).run()
    finally:
        if options.keep:
            print(f"left in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


class Bench:
    def __init__(self, options: argparse.Namespace, work: pathlib.Path) -> None:
        self.medallion = str(pathlib.Path(options.medallion).resolve())
        self.options, self.work, self.problems = options, work, []

    def run(self) -> None:
        ids = [f"customer-{number:04}" for number in range(self.options.customers)]
        (self.work / "customers").mkdir()
        (self.work / "medallion.toml").write_text('lake = "lake"\n')
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self.generate, ids))
        alone = self.alone(ids[-1])
        broken = self.break_some(ids)
        self.whole(ids, broken, alone)
        shutil.rmtree(self.work / "lake", ignore_errors=True)
        self.killed([id for id in ids if id not in broken])
        for problem in self.problems:
            print(f"NOT AS IT SHOULD BE: {problem}")
        sys.exit(1 if self.problems else 0)

    def generate(self, id: str) -> None:
        number = int(id.rsplit("-", 1)[1])
        scale = 0.95 + 0.1 * ((number * 37) % 101) / 100
        command = [self.medallion, "generate", "--profile", self.options.profile, "--seed", str(1000 + number)]
        subprocess.run([*command, "--scale", f"{scale:.3f}", "--out", str(self.work / "drop" / id)], check=True,
                       stdout=subprocess.DEVNULL)
        (self.work / "customers" / f"{id}.toml").write_text(f'source = "../drop/{id}"\n')

    def alone(self, id: str) -> float:
        """CPU seconds of a customer that runs by itself, the median."""
        seconds = []
        for turn in range(ALONE):
            command = ["run", "-q", "-c", id, "--lake", str(self.work / f"alone{turn}"), "--as-of", AS_OF]
            before = cpu_of_children()
            subprocess.run([self.medallion, *command], cwd=self.work, check=True, stdout=subprocess.DEVNULL)
            seconds.append(cpu_of_children() - before)
            shutil.rmtree(self.work / f"alone{turn}")
        return sorted(seconds)[ALONE // 2]

    def break_some(self, ids: list[str]) -> dict[str, int]:
        """Breaks ten customers, spread over all; which exit code each has to have."""
        step = max(1, len(ids) // 10)
        broken, codes = ids[step // 2::step][:10], {}

        def drop(id: str, start: str) -> pathlib.Path:
            return next(path for path in sorted((self.work / "drop" / id).iterdir()) if start in path.name)

        def customer(id: str) -> pathlib.Path:
            return self.work / "customers" / f"{id}.toml"

        def missing_source(id: str) -> int:
            drop(id, "positions").unlink()
            return 1

        def missing_column(id: str) -> int:
            path = drop(id, "users")
            text = path.read_text()
            header, rest = text.split("\n", 1)
            path.write_text(header.replace(header.split(",")[0], "something", 1) + "\n" + rest)
            return 1

        def empty_file(id: str) -> int:
            drop(id, "users").write_text("")
            return 1

        def not_text(id: str) -> int:
            drop(id, "users").write_bytes(b"PK\x03\x04" + bytes(1000))
            return 1

        def no_folder(id: str) -> int:
            shutil.rmtree(self.work / "drop" / id)
            return 1

        def unknown_key(id: str) -> int:
            customer(id).write_text(f'sorce = "../drop/{id}"\n')
            return 2

        def unset_variable(id: str) -> int:
            customer(id).write_text('source = "${NOT_SET_ANYWHERE}/drop"\n')
            return 2

        def invalid_id(id: str) -> int:
            customer(id).rename(customer(f"{id} copy"))
            return 2

        def too_old(id: str) -> int:
            for path in (self.work / "drop" / id).iterdir():
                os.utime(path, (0, 1_600_000_000))
            customer(id).write_text(f'source = "../drop/{id}"\n[sources.users]\nmax_age_days = 2\n')
            return 4

        def linked_lake(id: str) -> int:
            (self.work / "elsewhere").mkdir()
            (self.work / "lake").mkdir(exist_ok=True)
            (self.work / "lake" / id).symlink_to(self.work / "elsewhere")
            return 1

        ways = [missing_source, missing_column, empty_file, not_text, no_folder, unknown_key, unset_variable,
                invalid_id, too_old, linked_lake]
        for id, way in zip(broken, ways):
            codes[f"{id} copy" if way is invalid_id else id] = way(id)
            print(f"{id}: {way.__name__.replace('_', ' ')}")
        return codes

    def fleet(self, *options: str) -> list[str]:
        return [self.medallion, "run", "--as-of", AS_OF, "--jobs", str(self.options.jobs), *options]

    def whole(self, ids: list[str], broken: dict[str, int], alone: float) -> None:
        before, busy_before, started = cpu_of_children(), busy_seconds(), time.monotonic()
        process = subprocess.Popen(self.fleet("--all"), cwd=self.work, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        watch = Memory(process.pid, self.work)
        watch.start()
        summary = process.communicate()[0]
        watch.stop()
        seconds, cpu = time.monotonic() - started, cpu_of_children() - before
        busy = busy_seconds() - busy_before
        print(f"\n{summary}")
        results = self.results()
        entries = {entry["customer"]: entry for entry in results["customers"]}
        sound = [entry for entry in entries.values() if entry["status"] == "published"]
        self.check(process.returncode == (3 if broken else 0), f"the exit code is {process.returncode}")
        self.check(len(sound) == len(ids) - len(broken), f"{len(sound)} of {len(ids)} are published")
        for id, code in broken.items():
            entry = entries.get(id, {})
            self.check(entry.get("status") == "failed" and entry.get("exit_code") == code,
                       f"{id} has {entry.get('status')} and {entry.get('exit_code')}, not failed and {code}")
        print_table([
            ("exit code", process.returncode), ("published", len(sound)), ("failed", len(entries) - len(sound)),
            ("jobs, threads of each", f"{results['options']['jobs']}, {results['options']['threads']}"),
            ("seconds a customer, by the clock", f"{seconds / len(ids):.3f}"),
            ("seconds of a customer's process, median", f"{median([entry['seconds'] for entry in sound]):.3f}"),
            ("CPU seconds a published customer", f"{cpu / len(sound):.3f}"),
            ("CPU seconds of one alone", f"{alone:.3f}"),
            ("that many times", f"{cpu / len(sound) / alone:.2f}"),
            ("cores busy with the fleet", f"{100 * cpu / seconds / os.cpu_count():.0f} %"),
            ("cores busy with anything", f"{100 * busy / seconds / os.cpu_count():.0f} %"),
            ("peak memory of one customer, largest", f"{max(e['peak_memory'] or 0 for e in sound) / MIB:.0f} MiB"),
            *watch.report(),
        ])

    def killed(self, ids: list[str]) -> None:
        ids = ids[:self.options.killed or max(20, len(ids) // 5)]
        ids = [id for id in ids if (self.work / "customers" / f"{id}.toml").exists()]
        named = [option for id in ids for option in ("-c", id)]
        process = subprocess.Popen(self.fleet(*named), cwd=self.work, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        while process.poll() is None and len(self.results().get("customers", [])) < len(ids) // 2:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = {entry["customer"] for entry in self.results()["customers"]}
        runs = {id: self.runs(id) for id in done}
        again = subprocess.run(self.fleet("--retry-failed"), cwd=self.work, capture_output=True, text=True)
        finished = {entry["customer"] for entry in self.results()["customers"]}
        print(f"killed after {len(done)} of {len(ids)} customers; --retry-failed ran {len(finished)} more\n")
        self.check(again.returncode == 0, f"--retry-failed ends with {again.returncode}: {again.stderr}")
        self.check(0 < len(done) < len(ids), "it was not killed half way")
        self.check(done | finished == set(ids), "some customers were forgotten")
        self.check(not done & finished, "some customers that were done are run again")
        self.check(all(self.runs(id) == runs[id] for id in done), "what was done has further runs")
        for id in ids:
            releases = list((self.work / "lake" / id / "_medallion/releases").glob("*.json"))
            self.check(len(releases) == 1, f"{id} has {len(releases)} releases")

    def runs(self, id: str) -> set[str]:
        return set(os.listdir(self.work / "lake" / id / "_medallion/runs"))

    def results(self) -> dict:
        files = sorted((self.work / "lake/_medallion/fleet").glob("*/fleet_results.json"),
                       key=lambda path: path.stat().st_mtime_ns)
        return json.loads(files[-1].read_text()) if files else {}

    def check(self, is_so: bool, problem: str) -> None:
        if not is_so:
            self.problems.append(problem)


class Memory(threading.Thread):
    """Samples the memory of a process and of all that it started, with how many customers have ended by then."""

    def __init__(self, pid: int, work: pathlib.Path) -> None:
        super().__init__(daemon=True)
        self.pid, self.work, self.samples, self.is_over = pid, work, [], threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(0.1):
            own = memory_of(self.pid, "VmRSS:")
            children = [memory_of(child, "VmRSS:") for child in children_of(self.pid)]
            if own:
                self.samples.append((self.ended(), own, own + sum(children)))

    def stop(self) -> None:
        self.is_over.set()
        self.join()

    def ended(self) -> int:
        files = list((self.work / "lake/_medallion/fleet").glob("*/fleet_results.json"))
        try:
            return len(json.loads(files[-1].read_text())["customers"]) if files else 0
        except (OSError, ValueError):
            return 0

    def report(self) -> list[tuple[str, str]]:
        def peak(samples: list, column: int) -> str:
            return f"{max((sample[column] for sample in samples), default=0) / MIB:.1f} MiB"

        first = [sample for sample in self.samples if sample[0] <= 50]
        then = [sample for sample in self.samples if sample[0] > 50]
        return [
            ("peak memory of the fleet's process, up to 50 customers", peak(first, 1)),
            *([("the same, from then on", peak(then, 1))] if then else []),
            ("the same, at the end", peak(self.samples[-10:], 1)),
            ("peak memory of all processes, up to 50 customers", peak(first, 2)),
            *([("the same, from then on", peak(then, 2))] if then else []),
            ("samples", str(len(self.samples))),
        ]


def children_of(pid: int) -> list[int]:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return [int(child) for task in tasks
                for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except OSError:
        return []


def memory_of(pid: int, key: str) -> int:
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def cpu_of_children() -> float:
    """CPU seconds of all processes that were waited for, and of those that they waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def busy_seconds() -> float:
    """CPU seconds of the whole machine, neither idle nor waiting for a disk, nor taken by its host."""
    user, nice, system, _idle, _wait, interrupts, soft, *_ = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def print_table(rows: list[tuple[str, object]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    print()


if __name__ == "__main__":
    main()
