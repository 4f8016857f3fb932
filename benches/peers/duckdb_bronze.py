"""Bronze: the drop folder's files as DuckDB tables of text, in file order, and as Delta tables with audit columns."""

import csv
import datetime
import fnmatch
import hashlib
import io
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import python_calamine

from duckdb_sources import SOURCES, Source, normal_header, snake_case

CSV_ENDINGS = (".csv", ".csv.gz", ".csv.zst")
CHUNK = 4 << 20
MULTI_BYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)


class SourceError(Exception):
    """Something about the drop folder that a person has to put right."""


@dataclass(frozen=True)
class Part:
    """One file of an export, ready to be read as UTF-8."""

    path: Path
    readable: Path
    sha256: str


def text_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def matches(source: Source, name: str) -> bool:
    lowered = name.lower()
    if source.sheet:
        return any(fnmatch.fnmatchcase(lowered, pattern) for pattern in source.patterns)
    return lowered.endswith(CSV_ENDINGS) and any(fnmatch.fnmatchcase(lowered, p) for p in source.patterns)


def discover(folder: Path) -> dict[str, list[Path]]:
    """The files of each source's newest export."""
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder")
    found: dict[str, list[Path]] = {source.name: [] for source in SOURCES}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        claims = [source.name for source in SOURCES if matches(source, path.name)]
        if len(claims) > 1:
            raise SourceError(f"{path} is claimed by several sources: {', '.join(claims)}")
        if claims:
            found[claims[0]].append(path)
    return {name: newest_export(paths) for name, paths in found.items()}


def newest_export(paths: list[Path]) -> list[Path]:
    """Only the files with the newest date that differ in nothing but their part number `_1`, `_2`."""
    exports: dict[tuple, list[Path]] = {}
    for path in paths:
        stem = re.sub(r"\.(csv|csv\.gz|csv\.zst|xlsx)$", "", path.name.lower())
        export = re.sub(r"_\d{1,3}$", "", stem)
        exports.setdefault((export_date(path), export), []).append(path)
    return sorted(exports[max(exports)], key=part_number) if exports else []


def part_number(path: Path) -> int:
    number = re.search(r"_(\d{1,3})\.(?:csv|csv\.gz|csv\.zst|xlsx)$", path.name.lower())
    return int(number[1]) if number else 0


def export_date(path: Path) -> datetime.date:
    written = re.search(r"(?<!\d)(\d{4})(-?)(\d{2})\2(\d{2})(?!\d)", path.name)
    if written:
        try:
            return datetime.date(int(written[1]), int(written[3]), int(written[4]))
        except ValueError:
            pass
    return datetime.date.fromtimestamp(path.stat().st_mtime)


def prepare(path: Path, workspace: Path) -> Part:
    """Hashes the decompressed bytes, finds the encoding in the same pass and transcodes where it is not UTF-8."""
    digest = hashlib.sha256()
    ascii_only, multi_byte, mark, tail = True, False, b"", b""
    with pyarrow.input_stream(str(path), compression="detect") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            mark = mark or chunk[:2]
            if not multi_byte and not chunk.isascii():
                ascii_only = False
                multi_byte = MULTI_BYTE.search(tail + chunk) is not None
            tail = chunk[-3:]
    if mark in (b"\xff\xfe", b"\xfe\xff"):
        return Part(path, transcode(path, "utf-16", workspace), digest.hexdigest())
    if not ascii_only and not multi_byte:
        return Part(path, transcode(path, "windows-1252", workspace), digest.hexdigest())
    return Part(path, path, digest.hexdigest())


def transcode(path: Path, encoding: str, workspace: Path) -> Path:
    with tempfile.NamedTemporaryFile(dir=workspace, suffix=".csv", delete=False) as target:
        with pyarrow.input_stream(str(path), compression="detect") as stream:
            text = io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
            while block := text.read(CHUNK):
                target.write(block.encode("utf-8"))
    return Path(target.name)


def header_of(path: Path) -> list[str]:
    with pyarrow.input_stream(str(path), compression="detect") as stream:
        text = stream.read(1 << 20).decode("utf-8-sig", errors="replace")
    return next(csv.reader(io.StringIO(text, newline="")), [])


def column_names(source: Source, header: list[str]) -> list[str]:
    """The bronze column of every header cell: the declared one, or the header in snake_case."""
    declared = {}
    for column in source.columns:
        for spelling in (column.header, *column.aliases):
            declared[normal_header(spelling)] = column.name
    names: list[str] = []
    for cell in header:
        wanted = declared.get(normal_header(cell)) or snake_case(cell) or "column"
        name, copy = wanted, 1
        while name in names:
            copy += 1
            name = f"{wanted}_{copy}"
        names.append(name)
    return names


def check_columns(source: Source, names: list[str], path: Path) -> None:
    missing = [c.header for c in source.columns if not c.optional and c.name not in names]
    if missing:
        raise SourceError(f"{path} has no column {', '.join(missing)}, which source {source.name} needs")


def load(connection, source: Source, paths: list[Path], workspace: Path) -> list[tuple[Part, int]]:
    """Creates bronze.<source> with every part's records in order; returns the parts with their first row's number."""
    declared = ", ".join(f'"{column.name}" VARCHAR' for column in source.columns)
    if not paths:
        if source.required:
            raise SourceError(f"source {source.name} is required and no file of it is in the folder")
        connection.execute(f"CREATE TABLE bronze.{source.name} ({declared})")
        return []
    parts = []
    for number, path in enumerate(paths):
        part = prepare(path, workspace)
        rows = connection.execute(f"SELECT count(*) FROM bronze.{source.name}").fetchone()[0] if number else 0
        query = workbook_query(connection, source, path) if source.sheet else csv_query(source, part)
        if query is None:
            connection.execute(f"CREATE TABLE IF NOT EXISTS bronze.{source.name} ({declared})")
        elif number == 0:
            connection.execute(f"CREATE TABLE bronze.{source.name} AS {query}")
        else:
            append_part(connection, source, query)
        parts.append((part, rows))
    add_optional_columns(connection, source)
    return parts


def csv_query(source: Source, part: Part) -> str | None:
    header = header_of(part.readable)
    if not header:
        return None
    names = column_names(source, header)
    check_columns(source, names, part.path)
    columns = ", ".join(f"{text_literal(name)}: 'VARCHAR'" for name in names)
    return f"""
        SELECT * FROM read_csv({text_literal(str(part.readable))}, auto_detect = false, header = true, delim = ',',
            quote = '"', escape = '"', ignore_errors = true, null_padding = false, columns = {{{columns}}})"""


def workbook_query(connection, source: Source, path: Path) -> str:
    """The sheet's cells as text, through Arrow."""
    rows = python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_name(source.sheet).to_python()
    names = column_names(source, [str(cell) for cell in rows[0]])
    check_columns(source, names, path)
    cells = [[cell_text(row[index]) for row in rows[1:]] for index in range(len(names))]
    connection.register("workbook_cells", pyarrow.table(dict(zip(names, cells, strict=True))))
    return "SELECT * FROM workbook_cells"


def cell_text(cell) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def append_part(connection, source: Source, query: str) -> None:
    """Appends a further part, whose columns may differ from those of the first."""
    known = {row[0] for row in connection.execute(f"DESCRIBE bronze.{source.name}").fetchall()}
    for name, *_ in connection.execute(f"DESCRIBE {query}").fetchall():
        if name not in known:
            connection.execute(f'ALTER TABLE bronze.{source.name} ADD COLUMN "{name}" VARCHAR')
    connection.execute(f"INSERT INTO bronze.{source.name} BY NAME {query}")


def add_optional_columns(connection, source: Source) -> None:
    known = {row[0] for row in connection.execute(f"DESCRIBE bronze.{source.name}").fetchall()}
    for column in source.columns:
        if column.name not in known:
            connection.execute(f'ALTER TABLE bronze.{source.name} ADD COLUMN "{column.name}" VARCHAR')


def delta_query(source: Source, parts: list[tuple[Part, int]], run_id: str, now: datetime.datetime) -> str:
    """The table as it is published: the text that arrived and the audit columns. DuckDB's rowid is the file order."""
    stamp = f"TIMESTAMPTZ '{now.isoformat()}' AS _ingestion_timestamp"
    if not parts:
        return f"""
            SELECT *, {stamp}, NULL::VARCHAR AS _source_file, NULL::BIGINT AS _source_row,
                NULL::VARCHAR AS _source_hash, '{run_id}' AS _run_id, NULL::VARCHAR AS _rescued_data
            FROM bronze.{source.name}"""
    ends = [first for _, first in parts[1:]] + [1 << 62]
    queries = [
        f"""
            SELECT *, {stamp}, {text_literal(part.path.name)} AS _source_file, rowid - {first} + 1 AS _source_row,
                '{part.sha256}' AS _source_hash, '{run_id}' AS _run_id, NULL::VARCHAR AS _rescued_data
            FROM bronze.{source.name} WHERE rowid >= {first} AND rowid < {end}"""
        for (part, first), end in zip(parts, ends, strict=True)
    ]
    return " UNION ALL ".join(queries)
