"""Runs medallion and its DuckDB peer on the same exports, in turns, checks that both built the same gold tables and
prints how they compare.

    python benches/compare.py --medallion target/release/medallion [--profile customer-b] [--source DIR] [--rounds 5]

Timings are wall time of the whole process, cold, medians over the rounds; peak memory is the largest resident set of
a round. What counts is the ratio: both sides ran on one machine in the same minutes.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
AS_OF = "2025-06-30"


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of a command; ends the comparison if it fails."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        sys.exit(f"{' '.join(command)} failed:\n{errors.decode()}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--medallion", required=True, help="the release binary")
    parser.add_argument("--profile", default="reference", help="profile to generate (default: reference)")
    parser.add_argument("--source", help="compare on these exports instead of generated ones")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", help="work in this folder and keep it")
    options = parser.parse_args()
    medallion = str(pathlib.Path(options.medallion).resolve())
    work = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="medallion-compare-"))
    try:
        compare(options, medallion, work)
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)


def compare(options: argparse.Namespace, medallion: str, work: pathlib.Path) -> None:
    source = options.source
    if not source:
        source = str(work / "exports")
        subprocess.run([medallion, "generate", "--profile", options.profile, "--out", source], check=True,
                       stdout=subprocess.DEVNULL)
    lakes = {"medallion": work / "medallion", "duckdb": work / "duckdb"}
    commands = {
        "medallion": [medallion, "run", "-q", "-c", "bench", "--source", source, "--lake", str(lakes["medallion"]),
                      "--as-of", AS_OF],
        "duckdb": [sys.executable, str(HERE / "peers" / "duckdb_lake.py"), "--quiet", "--customer", "bench",
                   "--source", source, "--lake", str(lakes["duckdb"]), "--as-of", AS_OF],
    }
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            shutil.rmtree(lakes[name], ignore_errors=True)
            rounds[name].append(timed(command))
    check = [sys.executable, str(HERE / "peers" / "compare_lakes.py"), str(lakes["medallion"]), str(lakes["duckdb"]),
             "--customer", "bench"]
    result = subprocess.run(check, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"the gold tables differ:\n{result.stdout}{result.stderr}")
    report(rounds, result.stdout.strip().splitlines()[-1])


def report(rounds: dict[str, list[tuple[float, float]]], agreement: str) -> None:
    print(f"{'':12}{'median s':>10}{'min s':>10}{'max s':>10}{'peak MiB':>10}")
    medians = {}
    for name, measured in rounds.items():
        seconds = [second for second, _ in measured]
        medians[name] = statistics.median(seconds)
        peak = max(memory for _, memory in measured)
        print(f"{name:12}{medians[name]:10.2f}{min(seconds):10.2f}{max(seconds):10.2f}{peak:10.0f}")
    print(f"medallion is {medians['duckdb'] / medians['medallion']:.2f} times as fast; {agreement}")


if __name__ == "__main__":
    main()
