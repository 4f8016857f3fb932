"""Closes the manager hierarchy of many users, and one of a very deep chain, checks the relationships and prints what it
took.

    python benches/hierarchy.py --medallion target/release/medallion [--users FILE] [--rounds 5] [--chain 20000]

The users are those of the generated customer-e unless a users file is given. medallion, DuckDB (a recursive query that
is safe from cycles) and NetworkX with pandas (row by row, one round) close them in memory, in turns; all have to find
the same relationships. The chain is streamed to Parquet and every row of it is checked. Medians over the rounds; peak
memory is the largest resident set of a round's process. What counts is the ratio: all sides ran on one machine in the
same minutes, on as many threads as they like.
"""

import argparse
import csv
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
COLUMNS = "employee_id, manager_id, relationship_type, depth, assignment_id"
READ_CSV = "read_csv(?, header = true, columns = {'child': 'BIGINT', 'parent': 'BIGINT', 'label': 'BIGINT'})"
# Every way up, each at most once around; then per pair the shortest, over all of a person's assignments.
RECURSION = """
    WITH RECURSIVE ways(child, ancestor, depth, label, path) AS (
        SELECT child, parent, 1::BIGINT, label, [child, parent] FROM edges
        UNION ALL
        SELECT ways.child, edges.parent, ways.depth + 1, ways.label, list_append(ways.path, edges.parent)
        FROM ways JOIN edges ON edges.child = ways.ancestor
        WHERE NOT list_contains(ways.path, edges.parent))"""
CLOSURE = RECURSION + """,
    shortest AS (SELECT child, ancestor, min(depth) AS depth FROM ways GROUP BY child, ancestor)
    SELECT id AS employee_id, id AS manager_id, 'self' AS relationship_type, 0::BIGINT AS depth,
        NULL::BIGINT AS assignment_id
    FROM (SELECT child AS id FROM lines UNION SELECT parent FROM lines WHERE parent IS NOT NULL)
    UNION ALL
    SELECT DISTINCT child, ancestor, CASE depth WHEN 1 THEN 'direct' ELSE 'indirect' END, depth, label
    FROM ways JOIN shortest USING (child, ancestor, depth)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--medallion", help="the release binary, which generates the users")
    parser.add_argument("--users", type=pathlib.Path, help="a users file, instead of generated ones")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chain", type=int, default=20_000, help="length of the chain (default: 20000)")
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--edges", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        print(json.dumps(PEERS[options.peer](options.edges, options.out)))
        return
    if not options.users and not options.medallion:
        parser.error("--medallion or --users is needed")
    driver = build_driver()
    with tempfile.TemporaryDirectory(prefix="medallion-hierarchy-") as folder:
        work = pathlib.Path(folder)
        compare_users(options, driver, work)
        stream_chain(options, driver, work)


def build_driver() -> str:
    """The path of the bench target, built as the workspace's tests are."""
    command = [os.environ.get("CARGO", "cargo"), "test", "--release", "--locked", "-p", "medallion",
               "-p", "medallion-silver", "--bench", "closure", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE).stdout.splitlines()
    found = [message["executable"] for message in map(json.loads, lines)
             if message.get("executable") and message["target"]["name"] == "closure"]
    return found[-1]


def timed(command: list[str]) -> dict:
    """What a command tells, with its peak MiB; ends the comparison if it fails."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)} failed:\n{errors}")
    return {"peak": usage.ru_maxrss / 1024, **json.loads(output.splitlines()[-1])}


def compare_users(options: argparse.Namespace, driver: str, work: pathlib.Path) -> None:
    edges, ours = str(work / "edges.csv"), work / "medallion"
    users = options.users or generated(options.medallion, work)
    write_edges(users, edges)
    peers = {name: [sys.executable, __file__, "--peer", name, "--edges", edges, "--out", str(work / f"{name}.parquet")]
             for name in PEERS}
    rounds: dict[str, list[dict]] = {name: [] for name in ("medallion", *peers)}
    for number in range(options.rounds):
        rounds["medallion"].append(timed([driver, "edges", edges, str(ours)]))
        for name, command in peers.items():
            if name != "networkx" or number == 0:
                rounds[name].append(timed(command))
    for name in ("duckdb", "networkx"):
        check_same(str(ours / "out" / "*.parquet"), str(work / f"{name}.parquet"), name)
    rows = rounds["medallion"][0]["rows"]
    print(f"{users.name}: {rows} relationships, in memory; all sides found the same")
    print(f"{'':22}{'median s':>10}{'min s':>10}{'max s':>10}{'CPU s':>10}{'peak MiB':>10}{'times':>8}")
    own = statistics.median(one["seconds"] for one in rounds["medallion"])
    for name, found in rounds.items():
        print_line(name, found, own)
    tables = [{"peak": one["peak"], **{key: one["table"][key] for key in ("seconds", "cpu_seconds")}}
              for one in rounds["medallion"]]
    print_line("(Parquet to Parquet)", tables, own)


def print_line(name: str, rounds: list[dict], own: float) -> None:
    seconds = [one["seconds"] for one in rounds]
    median, cpu = statistics.median(seconds), statistics.median(one["cpu_seconds"] for one in rounds)
    print(f"{name:22}{median:10.3f}{min(seconds):10.3f}{max(seconds):10.3f}{cpu:10.3f}"
          f"{max(one['peak'] for one in rounds):10.0f}{median / own:8.1f}")


def generated(medallion: str, work: pathlib.Path) -> pathlib.Path:
    exports = work / "exports"
    subprocess.run([str(pathlib.Path(medallion).resolve()), "generate", "--profile", "customer-e", "--out",
                    str(exports)], check=True, stdout=subprocess.DEVNULL)
    users = (exports / "analytics_users.csv").rename(work / "customer-e users")
    shutil.rmtree(exports)
    return users


def write_edges(users: pathlib.Path, edges: str) -> None:
    """One line per row of the users file: user, manager, job assignment."""
    with users.open(encoding="utf-8-sig", newline="") as source, open(edges, "w", encoding="utf-8") as target:
        target.write("child,parent,label\n")
        for row in csv.DictReader(source):
            ids = (row[name].strip() for name in ("User ID", "Manager ID", "Assignment ID"))
            target.write(",".join(ids) + "\n")


def check_same(ours: str, theirs: str, name: str) -> None:
    import duckdb

    with duckdb.connect() as connection:
        for one, other in ((ours, theirs), (theirs, ours)):
            query = f"""SELECT count(*) FROM (SELECT {COLUMNS} FROM read_parquet('{one}')
                        EXCEPT ALL SELECT {COLUMNS} FROM read_parquet('{other}'))"""
            if differences := connection.execute(query).fetchone()[0]:
                sys.exit(f"medallion and {name} differ: {differences} relationships of {one} are not in {other}")


def stream_chain(options: argparse.Namespace, driver: str, work: pathlib.Path) -> None:
    length = options.chain
    print(f"\na chain of {length}: {length * (length + 1) // 2} relationships, from Parquet to Parquet; every row checked")
    print(f"{'':22}{'median s':>10}{'min s':>10}{'max s':>10}{'CPU s':>10}{'peak MiB':>10}{'M rows/s':>10}{'MiB':>8}")
    for name, arguments in (("ids in order", []), ("ids mixed", ["mixed"])):
        folder = work / "chain"
        rounds = []
        for _ in range(options.rounds):
            shutil.rmtree(folder, ignore_errors=True)
            rounds.append(timed([driver, "chain", str(length), str(folder), *arguments]))
        check_chain(folder, length)
        seconds = [one["seconds"] for one in rounds]
        median, cpu = statistics.median(seconds), statistics.median(one["cpu_seconds"] for one in rounds)
        print(f"{name:22}{median:10.3f}{min(seconds):10.3f}{max(seconds):10.3f}{cpu:10.3f}"
              f"{max(one['peak'] for one in rounds):10.0f}{rounds[0]['rows'] / median / 1e6:10.1f}"
              f"{rounds[0]['bytes'] / 2**20:8.1f}")
    refused = timed([driver, "chain", "100000", str(work / "refused")])
    print(f"\na chain of 100000, after {refused['seconds']:.3f} s and with {refused['peak']:.0f} MiB:\n{refused['refused']}")


def check_chain(folder: pathlib.Path, length: int) -> None:
    """Against the positions that a walk along the edges gives."""
    import duckdb

    with duckdb.connect() as connection:
        lines = connection.execute("SELECT user_id, manager_id, assignment_id FROM read_parquet(?)",
                                   [str(folder / "user_assignments.parquet")]).fetchall()
        below = {manager: user for user, manager, _ in lines}
        positions, at = [], below[None]
        while at is not None:
            positions.append(at)
            at = below.get(at)
        assert len(positions) == len(lines) == length
        connection.execute("CREATE TABLE positions (id BIGINT, position BIGINT)")
        rows = ", ".join(f"({id}, {position})" for position, id in enumerate(positions))
        connection.execute(f"INSERT INTO positions VALUES {rows}")
        found = connection.execute(f"""
            SELECT count(*), count(DISTINCT (employee_id::HUGEINT << 32) + depth) FILTER (employee_id % 97 = 0),
                count(*) FILTER (employee_id % 97 = 0),
                count(*) FILTER (lower.position - upper.position <> depth OR depth < 0
                    OR relationship_type <> CASE depth WHEN 0 THEN 'self' WHEN 1 THEN 'direct' ELSE 'indirect' END
                    OR assignment_id IS DISTINCT FROM CASE WHEN depth > 0 THEN employee_id END
                    OR _run_id <> '2025-06-30T02:00:00Z-0123456789ab')
            FROM read_parquet('{folder}/out/*.parquet')
            JOIN positions AS lower ON lower.id = employee_id JOIN positions AS upper ON upper.id = manager_id
            """).fetchone()
        numbers = connection.execute(f"""
            SELECT count(*) FROM (
                SELECT employee_id, count(*) AS rows, min(depth) AS lowest, max(depth) AS highest,
                    sum(depth) AS depths
                FROM read_parquet('{folder}/out/*.parquet') GROUP BY employee_id)
            JOIN positions ON id = employee_id
            WHERE rows = position + 1 AND lowest = 0 AND highest = position
                AND depths = position * (position + 1) // 2""").fetchone()[0]
    if found[0] != length * (length + 1) // 2 or found[1] != found[2] or found[3] or numbers != length:
        sys.exit(f"the relationships of the chain are wrong: {found}, {numbers} employees right")


def duckdb_closure(edges: str, out: str) -> dict:
    return in_duckdb(edges, out, CLOSURE)


def duckdb_recursion(edges: str, _: str) -> dict:
    """The recursive part alone: neither self relationships nor the shortest way."""
    return in_duckdb(edges, None, RECURSION + " SELECT child, ancestor, depth, label FROM ways")


def in_duckdb(edges: str, out: str | None, query: str) -> dict:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE lines AS SELECT * FROM {READ_CSV}", [edges])
        connection.execute("CREATE TABLE edges AS SELECT DISTINCT child, parent, label FROM lines WHERE parent <> child")
        started, cpu = time.perf_counter(), time.process_time()
        connection.execute(f"CREATE TABLE relationships AS {query}")
        told = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
        if out:
            connection.execute(f"COPY relationships TO '{out}' (FORMAT parquet)")
        return told


def networkx_closure(edges: str, out: str) -> dict:
    """A graph, a search per row of the users file, a list of rows, a data frame."""
    import networkx
    import pandas
    import pyarrow
    import pyarrow.parquet

    frame = pandas.read_csv(edges, dtype="Int64")
    started, cpu = time.perf_counter(), time.process_time()
    graph = networkx.DiGraph()
    graph.add_nodes_from(frame["child"])
    known = frame[frame["parent"].notna() & (frame["parent"] != frame["child"])]
    for _, row in known.iterrows():
        graph.add_edge(row["child"], row["parent"])
    rows = [(id, id, "self", 0, None) for id in set(graph) | set(frame["parent"].dropna())]
    for _, row in known.iterrows():
        child, label = row["child"], row["label"]
        for ancestor, depth in networkx.single_source_shortest_path_length(graph, row["parent"]).items():
            if ancestor != child:
                rows.append((child, ancestor, "indirect" if depth else "direct", depth + 1,
                             None if label is pandas.NA else label))
    found = pandas.DataFrame(rows, columns=COLUMNS.split(", ")).astype({"assignment_id": "Int64"})
    shortest = found.groupby(["employee_id", "manager_id"])["depth"].transform("min")
    found = found[found["depth"] == shortest].drop_duplicates()
    told = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    pyarrow.parquet.write_table(pyarrow.Table.from_pandas(found, preserve_index=False), out)
    return told


PEERS = {"duckdb": duckdb_closure, "duckdb, ways alone": duckdb_recursion, "networkx": networkx_closure}


if __name__ == "__main__":
    main()
