"""The four histories of GOLD.md: one row per thing and fiscal year in which it was open.

A thing is open from the fiscal year of date_began (the first year of the range where that is missing or earlier) to
that of its completion, or to the last year that has started. Fiscal years are compared by number: a day is not after
a year's end exactly if its own year's number is not greater.
"""

KEYS = ("user_id, program_id, course_id, scorm_id, cert_id, certification_user_id, program_user_id, course_user_id, "
        "event_id, session_id")
STATUS_OF_COURSE = """
    CASE WHEN completion_status = 'Not yet started' THEN 'Not yet started'
         WHEN year_completed = fy_status THEN 'Complete'
         WHEN year_started > fy_status THEN 'Not yet started'
         WHEN completion_status = 'In progress' THEN 'In progress'
         WHEN year_completed IS NULL THEN 'Not yet started'
         WHEN year_completed <= fy_status THEN 'Complete'
         ELSE 'In progress' END"""
STATUS_OF_PROGRAM = """
    CASE WHEN year_completed IS NULL THEN 'In Progress'
         WHEN year_completed <= fy_status THEN 'Completed'
         ELSE 'In Progress' END"""
STATUS_OF_CERTIFICATION = """
    CASE WHEN status = 'Expired' THEN 'Expired'
         WHEN year_completed IS NULL THEN 'In progress'
         WHEN year_completed <= fy_status THEN status
         ELSE 'In progress' END"""


def open_years(first_year: int, last_year: int) -> str:
    return f"""unnest(range(greatest({first_year}, open_from),
                            least({last_year}, coalesce(year_completed, {last_year})) + 1))"""


def columns(status: str, status_column: str) -> str:
    return f"""{KEYS}, date_began, date_completed, CAST(fy_status AS VARCHAR) AS fy_completed, fy_status, fy_began,
        {status} AS {status_column}"""


def course_history(fact: str, key: str, owner: str, *, first_year: int, last_year: int) -> str:
    """Progress rows of an enrolment that opened in the same year are open in the same years, so the maximum is taken
    before the years are laid out; only enrolments with several opening years need it again afterwards."""
    maxima = f"""max({owner}) AS {owner}, max({key}) AS {key}, max(date_began) AS date_began,
        max(date_completed) AS date_completed, max(fy_began) AS fy_began"""
    other_owner = ", ".join(f"-1::BIGINT AS {name}" for name in
                            {"program_id": ("cert_id", "certification_user_id"),
                             "cert_id": ("program_id", "program_user_id")}[owner])
    return f"""
        WITH openings AS (
            SELECT course_user_id, user_id, course_id,
                greatest({first_year}, fiscal_number(date_began)) AS open_from, {maxima}
            FROM gold.{fact} GROUP BY course_user_id, user_id, course_id, open_from),
        several AS (SELECT course_user_id FROM openings GROUP BY course_user_id HAVING count(*) > 1),
        progress AS (
            SELECT course_user_id, completion_status, fiscal_number(CAST(time_started AS DATE)) AS year_started,
                fiscal_number(CAST(time_completed AS DATE)) AS year_completed
            FROM gold.dim_course_progress),
        years AS (
            SELECT openings.*, progress.* EXCLUDE (course_user_id), {open_years(first_year, last_year)} AS fy_status
            FROM openings JOIN progress USING (course_user_id)),
        merged AS (
            SELECT course_user_id, user_id, course_id, {maxima}, completion_status, year_started, year_completed,
                fy_status
            FROM years SEMI JOIN several USING (course_user_id)
            GROUP BY course_user_id, user_id, course_id, completion_status, year_started, year_completed, fy_status
            UNION ALL
            SELECT course_user_id, user_id, course_id, {owner}, {key}, date_began, date_completed, fy_began,
                completion_status, year_started, year_completed, fy_status
            FROM years ANTI JOIN several USING (course_user_id)),
        history AS (
            SELECT *, {other_owner}, -1::BIGINT AS scorm_id, -1::BIGINT AS event_id, -1::BIGINT AS session_id
            FROM merged)
        SELECT {columns(STATUS_OF_COURSE, "course_completion_status_for_fy")} FROM history"""


def assignment_history(fact: str, dimension: str, key: str, status: str, status_column: str, *, first_year: int,
                       last_year: int) -> str:
    """Programs and certifications: the fact has one row per thing already."""
    return f"""
        WITH openings AS (
            SELECT fact.{KEYS.replace(", ", ", fact.")}, fact.date_began, fact.date_completed, fact.fy_began,
                progress.status, fiscal_number(fact.date_began) AS open_from,
                fiscal_number(CAST(progress.time_completed AS DATE)) AS year_completed
            FROM gold.{fact} AS fact JOIN gold.{dimension} AS progress USING ({key})),
        history AS (SELECT *, {open_years(first_year, last_year)} AS fy_status FROM openings)
        SELECT {columns(status, status_column)} FROM history"""


HISTORIES = {
    "fact_course_history": lambda _keys, **window: course_history(
        "fact_course_progress", "program_user_id", "program_id", **window),
    "fact_course_to_cert_history": lambda _keys, **window: course_history(
        "fact_course_to_cert_progress", "certification_user_id", "cert_id", **window),
    "fact_program_history": lambda _keys, **window: assignment_history(
        "fact_program_progress", "dim_program_progress", "program_user_id", STATUS_OF_PROGRAM,
        "program_completion_status_for_fy", **window),
    "fact_certification_history": lambda _keys, **window: assignment_history(
        "fact_certification_progress", "dim_certification_progress", "certification_user_id",
        STATUS_OF_CERTIFICATION, "certification_completion_status_for_fy", **window),
}
