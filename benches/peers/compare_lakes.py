"""Compares two lakes table by table, as multisets of rows, over the columns both have.

Tables are opened through their Delta logs. Columns beginning with an underscore are audit columns and are left out.
Exit status: 0 equal, 1 different, 2 a wrong call.
"""

import argparse
import re
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

# Whole numbers, dates, times to the microsecond and text are compared each in one type.
NORMAL_TYPES = {"number": "BIGINT", "date": "DATE", "timestamp": "TIMESTAMP", "string": "VARCHAR"}


@dataclass
class Verdict:
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: tuple[int, int] = (0, 0)
    only: tuple[int, int] = (0, 0)
    samples: list[str] = field(default_factory=list)

    def equal(self) -> bool:
        return not self.problems and self.only == (0, 0)


def contract() -> dict[str, dict[str, str]]:
    """Table -> column -> kind."""
    document = tomllib.loads(Path(__file__).with_name("contract.toml").read_text(encoding="utf-8"))
    keys = document["conformed_keys"]
    tables = document["dimensions"] | {name: keys + columns for name, columns in document["facts"].items()}
    return {name: dict(column.split(" ") for column in columns) for name, columns in tables.items()}


def family(kind: str) -> str:
    """The comparable family of an Arrow type or of a kind of the contract."""
    if kind in ("number", "long") or re.fullmatch(r"u?int\d+", kind):
        return "number"
    if kind.startswith("timestamp"):
        return "timestamp"
    if kind.startswith("date"):
        return "date"
    return "string" if re.fullmatch(r"(large_)?string(_view)?", kind) else kind


def honours(kind: str, arrow: pyarrow.DataType) -> bool:
    if kind == "long":
        return arrow == pyarrow.int64()
    if kind == "timestamp_ntz":
        return pyarrow.types.is_timestamp(arrow) and arrow.tz is None
    return family(kind) == family(str(arrow))


def columns_of(dataset) -> dict[str, pyarrow.DataType]:
    return {column.name: column.type for column in dataset.schema if not column.name.startswith("_")}


def check_contract(verdict: Verdict, wanted: dict[str, str], sides: dict[str, dict]) -> None:
    for side, columns in sides.items():
        for name, kind in wanted.items():
            if name not in columns:
                verdict.problems.append(f"{side} lacks column {name} of the contract")
            elif not honours(kind, columns[name]):
                verdict.problems.append(f"{side} has {name} as {columns[name]}, the contract says {kind}")


def common_columns(verdict: Verdict, a: dict, b: dict) -> list[str]:
    """The columns of both sides; what only one has is noted, what cannot be compared is a problem."""
    for side, own, other in (("A", a, b), ("B", b, a)):
        extra = [name for name in own if name not in other]
        if extra:
            verdict.notes.append(f"only {side} has {', '.join(extra)}")
    common = []
    for name in (name for name in a if name in b):
        if family(str(a[name])) == family(str(b[name])):
            common.append(name)
        else:
            verdict.problems.append(f"{name} is {a[name]} in A and {b[name]} in B")
    return common


def selection(columns: list[str], types: dict, side: str) -> str:
    normal = (f'CAST("{name}" AS {NORMAL_TYPES.get(family(str(types[name])), "VARCHAR")}) AS "{name}"'
              for name in columns)
    return f"SELECT {', '.join(normal)} FROM {side}"


def compare_table(connection, paths: dict[str, Path], wanted: dict[str, str], sample_rows: int) -> Verdict:
    verdict = Verdict()
    datasets = {}
    for side, path in paths.items():
        try:
            datasets[side] = DeltaTable(path).to_pyarrow_dataset()
        except TableNotFoundError:
            verdict.problems.append(f"{side} has no table {path}")
    if len(datasets) < 2:
        return verdict
    types = {side: columns_of(dataset) for side, dataset in datasets.items()}
    check_contract(verdict, wanted, types)
    common = common_columns(verdict, types["A"], types["B"])
    if not common:
        verdict.problems.append("the two sides have no column in common")
        return verdict
    for side, dataset in datasets.items():
        connection.register(f"source_{side}", dataset)
        query = selection(common, types[side], f"source_{side}")
        connection.execute(f"CREATE OR REPLACE TEMP TABLE side_{side} AS {query}")
    verdict.rows = tuple(count(connection, f"side_{side}") for side in datasets)
    verdict.only = differences(connection, verdict, sample_rows)
    return verdict


def differences(connection, verdict: Verdict, sample_rows: int) -> tuple[int, int]:
    only = []
    for side, other in (("A", "B"), ("B", "A")):
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE difference AS
            SELECT * FROM side_{side} EXCEPT ALL SELECT * FROM side_{other}""")
        only.append(count(connection, "difference"))
        result = connection.execute(f"SELECT * FROM difference ORDER BY ALL LIMIT {sample_rows}")
        names = [column[0] for column in result.description]
        for row in result.fetchall():
            cells = (f"{name}={value}" for name, value in zip(names, row, strict=True))
            verdict.samples.append(f"only in {side}: {' '.join(cells)}")
    return only[0], only[1]


def count(connection, table: str) -> int:
    return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def report(table: str, verdict: Verdict) -> None:
    word = "equal" if verdict.equal() else "DIFFERENT"
    counts = f"{verdict.rows[0]:>12,} {verdict.rows[1]:>12,} {verdict.only[0]:>10,} {verdict.only[1]:>10,}"
    print(f"{table:32} {counts}  {word}")
    for line in [f"problem: {text}" for text in verdict.problems] + [f"note: {text}" for text in verdict.notes]:
        print(f"    {line}")
    for sample in verdict.samples:
        print(f"    {sample}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lake_a", type=Path)
    parser.add_argument("lake_b", type=Path)
    parser.add_argument("--customer", required=True)
    parser.add_argument("--layer", default="gold")
    parser.add_argument("--tables", nargs="+", help="default for gold: the 19 dimensions and 11 facts of the contract; "
                        "for other layers: every table of A")
    parser.add_argument("--samples", type=int, default=5, help="rows shown of each side's surplus")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    wanted = contract() if options.layer == "gold" else {}
    folders = {"A": options.lake_a / options.customer / options.layer,
               "B": options.lake_b / options.customer / options.layer}
    tables = options.tables or list(wanted) or sorted(
        path.parent.name for path in folders["A"].glob("*/_delta_log"))
    if not tables:
        print(f"error: {folders['A']} holds no Delta table", file=sys.stderr)
        return 2
    print(f"{'table':32} {'rows A':>12} {'rows B':>12} {'only in A':>10} {'only in B':>10}")
    different = 0
    with tempfile.TemporaryDirectory() as spill, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET temp_directory = '{spill}'")
        for table in tables:
            paths = {side: folder / table for side, folder in folders.items()}
            verdict = compare_table(connection, paths, wanted.get(table, {}), options.samples)
            report(table, verdict)
            different += not verdict.equal()
    print(f"{len(tables)} tables, {different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
