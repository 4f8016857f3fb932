"""Silver: the rules of SILVER.md as set-based SQL, and the hierarchies."""

from duckdb_sources import SOURCES, Source

# Unicode's White_Space property.
WHITE_SPACE = "".join(map(chr, [*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
                                0x2028, 0x2029, 0x202F, 0x205F, 0x3000]))

# The first branch of each cast is the common case; white space and other formats are looked at only where it fails.
MACROS = f"""
    CREATE MACRO as_text(field) AS
        CASE WHEN regexp_full_match(field, '[!-~]([ -~]*[!-~])?') THEN field
             ELSE nullif(trim(field, '{WHITE_SPACE}'), '') END;
    CREATE MACRO trimmed_long(field) AS
        CASE WHEN regexp_full_match(field, '[+-]?[0-9]+') THEN TRY_CAST(field AS BIGINT) END;
    CREATE MACRO as_long(field) AS
        CASE WHEN regexp_full_match(field, '[0-9]{{1,18}}') THEN CAST(field AS BIGINT)
             WHEN field <> '' THEN trimmed_long(as_text(field)) END;
    CREATE MACRO as_id(field) AS CASE WHEN as_long(field) BETWEEN 0 AND 2147483647 THEN as_long(field) END;
    CREATE MACRO without_marker(field) AS
        CASE WHEN field NOT IN ('1900-01-01', '''1900-01-01''') THEN field END;
    CREATE MACRO iso_timestamp(field) AS
        CASE WHEN regexp_full_match(field, '\\d{{4}}-\\d\\d-\\d\\d([T ]\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?)?')
             THEN TRY_CAST(field AS TIMESTAMP) END;
    CREATE MACRO trimmed_timestamp(field) AS
        coalesce(try_strptime(field, '%d/%m/%Y, %H:%M:%S'), iso_timestamp(field));
    CREATE MACRO as_timestamp(field) AS
        coalesce(try_strptime(field, '%d/%m/%Y, %H:%M:%S'),
                 CASE WHEN field <> '' THEN trimmed_timestamp(without_marker(as_text(field))) END);
    CREATE MACRO as_date(field) AS CAST(trimmed_timestamp(without_marker(as_text(field))) AS DATE);
    CREATE MACRO scorm_id_of(title) AS CAST(CAST('0x' || left(sha256(title), 16) AS UBIGINT) >> 1 AS BIGINT);
"""

ENTITIES = {
    "courses": ("course_completions", "course_id", "course_name course_category include_in_dashboard"),
    "certifications": ("cert_completions", "certification_id",
                       "certification_name certification_category include_in_dashboard"),
    "programs": ("prog_completions", "program_id", "program_name category include_in_dashboard"),
}


def build(connection, source: Source) -> None:
    """Casts, requires the key columns, then removes exact duplicates and further rows of a key."""
    casts = ", ".join(f'as_{column.kind}("{column.name}") AS {column.name}' for column in source.columns)
    if source.name == "scorm":
        casts += ", scorm_id_of(as_text(scorm_title)) AS scorm_id"
    required = " AND ".join(f"{name} IS NOT NULL" for name in source.required_columns) or "true"
    name = table_name(source)
    connection.execute(f"""
        CREATE TABLE silver.{name} AS
        SELECT * FROM (SELECT rowid AS _file_order, {casts} FROM bronze.{source.name}) WHERE {required}""")
    if source.key:
        keep_last_of_each_key(connection, source)
    else:
        keep_first_of_exact_duplicates(connection, source)


def table_name(source: Source) -> str:
    return "user_assignments" if source.name == "users" else source.name


def keep_first_of_exact_duplicates(connection, source: Source) -> None:
    columns = ", ".join(column.name for column in source.columns)
    table = f"silver.{table_name(source)}"
    connection.execute(f"""
        DELETE FROM {table} WHERE _file_order NOT IN (SELECT min(_file_order) FROM {table} GROUP BY {columns})""")


def keep_last_of_each_key(connection, source: Source) -> None:
    """Exact duplicates go first: of the rows A, B, A the second A is a copy, so that B is the key's last row."""
    columns = ", ".join(column.name for column in source.columns)
    key = ", ".join(source.key)
    same_key = " AND ".join(f"candidate.{name} IS NOT DISTINCT FROM repeated.{name}" for name in source.key)
    table = f"silver.{table_name(source)}"
    connection.execute(f"""
        DELETE FROM {table} WHERE _file_order IN (
            WITH repeated AS (SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1),
            candidates AS (SELECT candidate.* FROM {table} AS candidate SEMI JOIN repeated ON {same_key}),
            first_copies AS (SELECT {columns}, min(_file_order) AS _file_order FROM candidates GROUP BY {columns}),
            kept AS (SELECT max(_file_order) AS _file_order FROM first_copies GROUP BY {key})
            SELECT _file_order FROM candidates WHERE _file_order NOT IN (SELECT _file_order FROM kept))""")


def build_users(connection) -> None:
    """One row per person: the one with the lowest assignment id."""
    connection.execute("""
        CREATE TABLE silver.users AS
        SELECT * FROM silver.user_assignments
        QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY assignment_id NULLS LAST) = 1""")


def build_entities(connection) -> None:
    for name, (source, key, columns) in ENTITIES.items():
        maxima = ", ".join(f"max({column}) AS {column}" for column in columns.split())
        connection.execute(f"""
            CREATE TABLE silver.{name} AS SELECT {key}, {maxima} FROM silver.{source} GROUP BY {key}""")


def build_dates(connection) -> None:
    """The workbook's calendar, or a generated one; silver.null_dates lists markers and adds no day of its own."""
    if connection.execute("SELECT count(*) FROM silver.dimdates").fetchone()[0]:
        connection.execute("CREATE TABLE silver.dates AS SELECT * EXCLUDE (_file_order) FROM silver.dimdates")
        return
    connection.execute("""
        CREATE TABLE silver.dates AS
        SELECT CAST(strftime(day, '%Y%m%d') AS BIGINT) AS date_num, CAST(day AS DATE) AS date,
            year(day) * 100 + month(day) AS year_month_num, 'Qtr ' || quarter(day) AS calendar_quarter,
            month(day) AS month_num, monthname(day) AS month_name, left(monthname(day), 3) AS month_short_name,
            week(day) AS week_num, dayofyear(day) AS day_num_of_year, day(day) AS day_num_of_month,
            dayofweek(day) + 1 AS day_num_of_week, dayname(day) AS day_name, left(dayname(day), 3) AS day_short_name,
            quarter(day) AS quarter, year(day) * 10 + quarter(day) AS year_quarter_num,
            date_diff('day', date_trunc('quarter', day), day) + 1 AS day_num_of_quarter
        FROM generate_series(TIMESTAMP '1991-01-01', TIMESTAMP '2039-12-31', INTERVAL 1 DAY) AS days(day)""")


def close_over_parents(connection, edges: str) -> None:
    """Creates work.reach(child, ancestor, depth): breadth first, so that each pair is met at its shortest depth.

    A pair is taken up once and nobody reaches themself, which is what ends the walk on a cycle.
    """
    connection.execute(f"""
        CREATE OR REPLACE TABLE work.edges AS
        SELECT DISTINCT child, parent FROM ({edges}) WHERE parent IS NOT NULL AND parent <> child""")
    connection.execute("""
        CREATE OR REPLACE TABLE work.reach AS SELECT child, parent AS ancestor, 1::BIGINT AS depth FROM work.edges""")
    depth, found = 1, 1
    while found:
        found = connection.execute(f"""
            INSERT INTO work.reach
            SELECT DISTINCT reach.child, edges.parent, {depth + 1}
            FROM work.reach JOIN work.edges ON edges.child = reach.ancestor
            WHERE reach.depth = {depth} AND edges.parent <> reach.child AND NOT EXISTS (
                SELECT 1 FROM work.reach AS known
                WHERE known.child = reach.child AND known.ancestor = edges.parent)""").fetchone()[0]
        depth += 1


def build_user_hierarchy(connection) -> None:
    """A route goes through one assignment; of a pair's routes only those of the shortest depth are kept."""
    close_over_parents(connection, "SELECT user_id AS child, manager_id AS parent FROM silver.user_assignments")
    connection.execute("""
        CREATE TABLE silver.user_hierarchy AS
        WITH steps AS (
            SELECT DISTINCT user_id, assignment_id, manager_id FROM silver.user_assignments
            WHERE manager_id <> user_id),
        routes AS (
            SELECT user_id, manager_id AS ancestor, 1 AS depth, assignment_id FROM steps
            UNION ALL
            SELECT user_id, reach.ancestor, reach.depth + 1, assignment_id
            FROM steps JOIN work.reach ON reach.child = steps.manager_id),
        people AS (
            SELECT user_id AS person FROM silver.users
            UNION
            SELECT manager_id FROM silver.user_assignments WHERE manager_id IS NOT NULL)
        SELECT person AS employee_id, person AS manager_id, 'self' AS relationship_type, 0::BIGINT AS depth,
            NULL::BIGINT AS assignment_id
        FROM people
        UNION ALL
        SELECT DISTINCT user_id, routes.ancestor, CASE depth WHEN 1 THEN 'direct' ELSE 'indirect' END, depth,
            assignment_id
        FROM routes
        SEMI JOIN work.reach AS shortest
            ON shortest.child = routes.user_id AND shortest.ancestor = routes.ancestor
                AND shortest.depth = routes.depth""")


def build_tree_hierarchy(connection, thing: str, parent: str) -> None:
    """Organisations and positions; a parent id of 0 stands for none."""
    edges = f"SELECT {thing}_id AS child, nullif({parent}, 0) AS parent FROM silver.{thing}s"
    close_over_parents(connection, edges)
    connection.execute(f"""
        CREATE TABLE silver.{thing}_hierarchy AS
        SELECT id AS {thing}_id, id AS parent_{thing}_id, 'self' AS relationship_type, 0::BIGINT AS depth
        FROM (SELECT child AS id FROM ({edges}) UNION SELECT parent FROM ({edges}) WHERE parent IS NOT NULL)
        UNION ALL
        SELECT child, ancestor, CASE depth WHEN 1 THEN 'direct' ELSE 'indirect' END, depth FROM work.reach""")


def build_derived(connection, export_date) -> None:
    """Everything in silver that does not come from one source alone."""
    build_users(connection)
    build_entities(connection)
    build_dates(connection)
    build_user_hierarchy(connection)
    build_tree_hierarchy(connection, "organisation", "parent_id")
    build_tree_hierarchy(connection, "position", "position_parent_id")
    connection.execute(f"""
        CREATE TABLE silver.users_history AS
        SELECT * EXCLUDE (_file_order), DATE '{export_date}' AS valid_from, NULL::DATE AS valid_to, true AS is_current
        FROM silver.users""")


SOURCE_TABLES = tuple(table_name(source) for source in SOURCES if source.name not in ("dimdates", "null_dates"))
DERIVED_TABLES = ("users", "courses", "certifications", "programs", "dates", "user_hierarchy",
                  "organisation_hierarchy", "position_hierarchy", "users_history")


def delta_query(table: str, run_id: str) -> str:
    return f"SELECT COLUMNS(lambda name: name NOT LIKE '\\_%' ESCAPE '\\'), '{run_id}' AS _run_id FROM silver.{table}"
