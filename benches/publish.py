"""Measures the two ends of a night against what they cannot do without.

    python benches/publish.py --medallion target/release/medallion [--profile reference] [--rounds 5]

- Publishing against as many fsyncs of files of the same sizes, and of as many folders, on 16 threads.
- A night in which nothing has changed against reading and hashing the export's files, one thread for each core.

Each round does all four, one after another, on the disk that holds the temporary folder; printed are medians over the
rounds. Hashing needs the Python package blake3, see benches/peers/requirements.txt.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from blake3 import blake3

AS_OF = "2025-06-30"
SYNC_THREADS = 16
PIECE = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--medallion", required=True, help="the release binary")
    parser.add_argument("--profile", default="reference", help="profile to generate (default: reference)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where to work (default: the folder for temporary files)")
    options = parser.parse_args()
    medallion = str(pathlib.Path(options.medallion).resolve())
    work = pathlib.Path(tempfile.mkdtemp(prefix="medallion-publish-", dir=options.folder))
    try:
        exports = work / "exports"
        run([medallion, "generate", "--profile", options.profile, "--out", str(exports)])
        rounds = [measure(medallion, exports, work) for _ in range(options.rounds)]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report(options.profile, rounds)


def run(command: list[str]) -> float:
    """Seconds of a command; ends the measurement if it fails."""
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return time.monotonic() - started


def measure(medallion: str, exports: pathlib.Path, work: pathlib.Path) -> dict[str, float]:
    lake = work / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    night = [medallion, "run", "-q", "-c", "c", "--source", str(exports), "--lake", str(lake), "--as-of", AS_OF]
    run(night)
    results = next((lake / "c/_medallion/runs").glob("*/run_results.json"))
    published = json.loads(results.read_text())["publish_seconds"]
    sizes, folders = committed(lake / "c")
    synced = fsync_like(work / "synced", sizes, folders)
    unchanged = run(night)
    if len(list((lake / "c/_medallion/releases").iterdir())) != 1:
        sys.exit("the second night published something")
    return {"publish": published, "fsyncs": synced, "unchanged": unchanged, "hash": hash_all(exports),
            "count": len(sizes) + folders}


def committed(customer: pathlib.Path) -> tuple[list[int], int]:
    """Sizes of the files that a first release brings to the disk, and the number of their folders."""
    files = [path for layer in ("silver", "gold") for path in (customer / layer).rglob("*") if path.is_file()]
    files += list((customer / "_medallion/releases").iterdir())
    files = [path for path in files if "checkpoint" not in path.name]
    # The journal is as large as all log entries together, roughly.
    journal = sum(path.stat().st_size for path in files if path.suffix == ".json")
    return [path.stat().st_size for path in files] + [journal], len({path.parent for path in files})


def fsync_like(folder: pathlib.Path, sizes: list[int], folders: int) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    parents = [folder / str(number) for number in range(folders)]
    for parent in parents:
        parent.mkdir(parents=True)
    paths = [parents[number % folders] / f"{number}.file" for number in range(len(sizes))]
    for path, size in zip(paths, sizes):
        path.write_bytes(os.urandom(size))
    with ThreadPoolExecutor(SYNC_THREADS) as threads:
        list(threads.map(time.sleep, [0.001] * SYNC_THREADS))
        started = time.monotonic()
        list(threads.map(fsync, paths + parents))
        return time.monotonic() - started


def fsync(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def hash_all(exports: pathlib.Path) -> float:
    started = time.monotonic()
    largest_first = sorted(exports.iterdir(), key=lambda path: -path.stat().st_size)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(hash_file, largest_first))
    return time.monotonic() - started


def hash_file(path: pathlib.Path) -> str:
    hasher = blake3()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
    return hasher.hexdigest()


def report(profile: str, rounds: list[dict[str, float]]) -> None:
    middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    print(f"{profile}, {len(rounds)} rounds, medians")
    for what, against in [("publish", "fsyncs"), ("unchanged", "hash")]:
        ratio = statistics.median(one[what] / one[against] for one in rounds)
        print(f"  {what:<10} {middle[what]:8.3f} s   {against:<7} {middle[against]:8.3f} s   {ratio:6.2f} times")
    print(f"  {middle['count']:.0f} fsyncs")


if __name__ == "__main__":
    main()
