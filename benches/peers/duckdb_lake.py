"""The whole lakehouse as a DuckDB script: an independent reading of SOURCES.md, SILVER.md and GOLD.md.

It judges medallion's results and is the peer its speed is measured against.
"""

import argparse
import datetime
import os
import re
import resource
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import duckdb
from deltalake import write_deltalake

import duckdb_bronze
import duckdb_gold
import duckdb_silver
from duckdb_sources import SOURCES


class DeltaLake:
    """Writes query results as Delta tables, several at a time, each over a cursor of its own."""

    def __init__(self, connection, folder: Path, workers: int):
        self.connection = connection
        self.folder = folder
        self.pool = ThreadPoolExecutor(workers)
        self.rows: dict[str, Future] = {}

    def write(self, layer: str, table: str, query: str, partition_by: str | None = None) -> None:
        self.rows[f"{layer}.{table}"] = self.pool.submit(self._write, layer, table, query, partition_by)

    def _write(self, layer: str, table: str, query: str, partition_by: str | None) -> int:
        with self.connection.cursor() as cursor:
            counted = CountedBatches(cursor.sql(query).to_arrow_reader(122_880))
            write_deltalake(self.folder / layer / table, counted.reader(), mode="overwrite", schema_mode="overwrite",
                            partition_by=partition_by)
            return counted.rows

    def finish(self) -> dict[str, int]:
        self.pool.shutdown()
        return {table: written.result() for table, written in self.rows.items()}


class CountedBatches:
    def __init__(self, batches):
        self.batches = batches
        self.rows = 0

    def reader(self):
        return type(self.batches).from_batches(self.batches.schema, self._counting())

    def _counting(self):
        for batch in self.batches:
            self.rows += batch.num_rows
            yield batch


def build(options, connection, workspace: Path) -> dict[str, int]:
    """Bronze and silver source by source, then gold; finished tables are written while the next ones are computed."""
    now = datetime.datetime.now(datetime.UTC)
    run_id = f"duckdb-{now:%Y%m%dT%H%M%S}"
    lake = DeltaLake(connection, options.lake / options.customer, os.cpu_count() or 2)
    for layer in ("bronze", "silver", "gold", "work"):
        connection.execute(f"CREATE SCHEMA {layer}")
    connection.execute(duckdb_silver.MACROS)
    calendar = duckdb_gold.Calendar(options.as_of, options.fiscal_year_start_month, options.fiscal_year_first,
                                    options.fiscal_year_last)
    connection.execute(duckdb_gold.macros(calendar))
    files = duckdb_bronze.discover(options.source)
    for source in SOURCES:
        parts = duckdb_bronze.load(connection, source, files[source.name], workspace)
        lake.write("bronze", source.name, duckdb_bronze.delta_query(source, parts, run_id, now))
        duckdb_silver.build(connection, source)
    exported = duckdb_bronze.export_date(files["users"][0])
    duckdb_silver.build_derived(connection, exported)
    for table in duckdb_silver.SOURCE_TABLES + duckdb_silver.DERIVED_TABLES:
        lake.write("silver", table, duckdb_silver.delta_query(table, run_id))
    for model in duckdb_gold.models(calendar):
        query = model.query
        if model.kept:
            connection.execute(f"CREATE TABLE gold.{model.name} AS {query}")
            query = f"FROM gold.{model.name}"
        lake.write("gold", model.name, query, model.partition_by)
    return lake.finish()


def connect(options, workspace: Path):
    database = str(workspace / "scratch.duckdb") if options.on_disk else ":memory:"
    connection = duckdb.connect(database)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET temp_directory = {duckdb_bronze.text_literal(str(workspace / 'spill'))}")
    if options.memory_limit:
        connection.execute(f"SET memory_limit = {duckdb_bronze.text_literal(options.memory_limit)}")
    return connection


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="drop folder")
    parser.add_argument("--lake", type=Path, required=True, help="tables go to LAKE/CUSTOMER/LAYER/TABLE")
    parser.add_argument("--customer", required=True)
    parser.add_argument("--as-of", type=datetime.date.fromisoformat, required=True)
    parser.add_argument("--fiscal-year-start-month", type=int, default=1, choices=range(1, 13))
    parser.add_argument("--fiscal-year-first", type=int, default=2012)
    parser.add_argument("--fiscal-year-last", type=int, default=2036)
    parser.add_argument("--on-disk", action="store_true", help="work in a database file instead of memory")
    parser.add_argument("--memory-limit", help="DuckDB's own limit, such as 8GiB")
    parser.add_argument("--quiet", action="store_true", help="no row counts")
    options = parser.parse_args()
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", options.customer):
        parser.error("a customer id has lower-case letters, digits, _ and -")
    return options


def main() -> int:
    options = arguments()
    started = time.perf_counter()
    options.lake.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.lake, prefix=".work-") as workspace:
        with connect(options, Path(workspace)) as connection:
            try:
                rows = build(options, connection, Path(workspace))
            except duckdb_bronze.SourceError as problem:
                print(f"error: {problem}", file=sys.stderr)
                return 1
    if not options.quiet:
        for table, count in rows.items():
            print(f"{table:45} {count:>12,}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"seconds {time.perf_counter() - started:.2f}  peak_mib {peak:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
