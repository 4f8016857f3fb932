"""Gold: the 19 dimensions and 11 facts of GOLD.md, and the three tables beyond them."""

import datetime
from dataclasses import dataclass

from duckdb_facts import LEARNING, PROGRESS
from duckdb_histories import HISTORIES

CONFORMED_KEYS = ("user_id", "program_id", "course_id", "scorm_id", "cert_id", "certification_user_id",
                  "program_user_id", "course_user_id", "event_id", "session_id")
NO_DATE = "DATE '1900-01-01'"
NO_TIME = "TIMESTAMP '1900-01-01'"


@dataclass(frozen=True)
class Calendar:
    """The run's date and the customer's fiscal years, labelled by the calendar year in which they end."""

    as_of: datetime.date
    start_month: int
    first: int
    last: int

    def shift(self) -> int:
        """What a month from start_month on adds to the year; a year that starts in January adds nothing."""
        return 0 if self.start_month == 1 else 1

    def start_of(self, label: int) -> datetime.date:
        return datetime.date(label - self.shift(), self.start_month, 1)

    def end_of(self, label: int) -> datetime.date:
        return self.start_of(label + 1) - datetime.timedelta(days=1)

    def last_started(self) -> int:
        """The last year of the range whose start is not after as_of; before the first one if none has started."""
        started = [label for label in range(self.first, self.last + 1) if self.start_of(label) <= self.as_of]
        return max(started, default=self.first - 1)


def macros(calendar: Calendar) -> str:
    in_later_year = f"CAST(month(day) >= {calendar.start_month} AS BIGINT)" if calendar.shift() else "0"
    return f"""
        CREATE OR REPLACE MACRO fiscal_number(day) AS CAST(year(day) + {in_later_year} AS BIGINT);
        CREATE OR REPLACE MACRO fiscal_year(day) AS
            CASE WHEN fiscal_number(day) BETWEEN {calendar.first} AND {calendar.last}
                 THEN CAST(fiscal_number(day) AS VARCHAR) ELSE 'N/A' END;
        CREATE OR REPLACE MACRO key_date(moment) AS coalesce(CAST(moment AS DATE), {NO_DATE});
        CREATE OR REPLACE MACRO known_id(id) AS coalesce(id, -1::BIGINT);
        CREATE OR REPLACE MACRO known_text(field) AS coalesce(field, 'N/A');
        CREATE OR REPLACE MACRO known_time(moment) AS coalesce(moment, {NO_TIME});
        CREATE OR REPLACE MACRO packed(thing_id, user_id) AS thing_id * 4294967296 + user_id;
        CREATE OR REPLACE MACRO days_from(earlier, later) AS
            CAST(date_diff('day', CAST(earlier AS DATE), CAST(later AS DATE)) AS BIGINT);
        CREATE OR REPLACE MACRO overdue(due, completed) AS
            CAST(completed IS NULL AND coalesce(CAST(due AS DATE) < DATE '{calendar.as_of}', false) AS BIGINT);
    """


def keys(**known: str) -> str:
    """The ten conformed keys: the given expressions, -1 where a key does not apply."""
    return ", ".join(f"known_id({known[name]}) AS {name}" if name in known else f"-1::BIGINT AS {name}"
                     for name in CONFORMED_KEYS)


PEOPLE_AND_PLACES = {
    "dim_user": """
        SELECT user_id, known_text(full_name) AS full_name, known_text(first_name) AS first_name,
            known_text(last_name) AS last_name, known_text(country) AS country, known_text(city) AS city,
            known_text(user_status) AS user_status, known_id(assignment_id) AS assignment_id,
            known_text(assignment_name) AS assignment_name, known_id(organisation_id) AS organisation_id,
            known_text(organisation_name) AS organisation_name, known_id(position_id) AS position_id,
            known_text(position_name) AS position_name, known_id(manager_id) AS manager_id,
            coalesce(manager_name, 'No Manager Assigned') AS manager_name, known_id(appraiser_id) AS appraiser_id,
            known_text(appraiser_name) AS appraiser_name
        FROM silver.users
        UNION ALL
        SELECT -1, 'N/A', 'N/A', 'N/A', 'N/A', 'N/A', 'N/A', -1, 'N/A', -1, 'N/A', -1, 'N/A', -1, 'N/A', -1, 'N/A'""",
    "dim_manager": """
        SELECT managers.manager_id, known_text(users.full_name) AS manager_name
        FROM (SELECT DISTINCT manager_id FROM silver.user_hierarchy) AS managers
        LEFT JOIN silver.users ON users.user_id = managers.manager_id
        UNION ALL
        SELECT -1, 'N/A'""",
    "dim_manager_relationship": """
        SELECT DISTINCT manager_id, employee_id, relationship_type, depth FROM silver.user_hierarchy
        UNION ALL
        SELECT -1, user_id, 'direct', 1 FROM silver.user_assignments GROUP BY user_id HAVING count(manager_id) = 0
        UNION ALL
        SELECT -1, -1, 'N/A', 0""",
    "dim_organisation": """
        SELECT organisation_id, known_text(name) AS organisation_name,
            known_id(nullif(parent_id, 0)) AS parent_organisation_id, known_text(framework) AS framework,
            known_text(organisation_path) AS organisation_path, known_id(organisation_depth_level) AS depth_level
        FROM silver.organisations
        UNION ALL
        SELECT -1, 'N/A', -1, 'N/A', 'N/A', -1""",
    "dim_position": """
        SELECT position_id, known_text(position_name) AS position_name,
            known_id(nullif(position_parent_id, 0)) AS parent_position_id, known_text(framework_name) AS framework,
            known_text(position_path) AS position_path, known_id(position_depth_level) AS depth_level
        FROM silver.positions
        UNION ALL
        SELECT -1, 'N/A', -1, 'N/A', 'N/A', -1""",
    "dim_audience": """
        SELECT audience_id, known_text(max(audience_name)) AS audience_name, count(DISTINCT user_id) AS member_count
        FROM silver.audiences GROUP BY audience_id
        UNION ALL
        SELECT -1, 'N/A', 0""",
    "bridge_audience_member": "SELECT audience_id, user_id, known_text(status) AS status FROM silver.audiences",
}

THINGS = {
    "dim_course": """
        SELECT course_id, known_text(course_name) AS course_name, known_text(course_category) AS course_category,
            known_id(include_in_dashboard) AS include_in_dashboard
        FROM silver.courses
        UNION ALL
        SELECT course_id, known_text(max(course_name)), 'N/A', 1
        FROM silver.scorm ANTI JOIN silver.courses USING (course_id)
        WHERE course_id IS NOT NULL GROUP BY course_id
        UNION ALL
        SELECT -1, 'N/A', 'N/A', -1""",
    "dim_cert": """
        SELECT certification_id AS cert_id, known_text(certification_name) AS certification_name,
            known_text(certification_category) AS certification_category,
            known_id(include_in_dashboard) AS include_in_dashboard
        FROM silver.certifications
        UNION ALL
        SELECT -1, 'N/A', 'N/A', -1""",
    "dim_programs": """
        SELECT program_id, known_text(program_name) AS program_name, known_text(category) AS category,
            known_id(include_in_dashboard) AS include_in_dashboard
        FROM silver.programs
        UNION ALL
        SELECT -1, 'N/A', 'N/A', -1""",
    "dim_scorm": """
        SELECT DISTINCT scorm_id, scorm_title FROM silver.scorm WHERE scorm_id IS NOT NULL
        UNION ALL
        SELECT -1, 'N/A'""",
    "dim_seminar_event": """
        SELECT event_id, known_id(max(course_id)) AS course_id, known_text(max(seminar_name)) AS seminar_name
        FROM silver.seminar_attendance WHERE event_id IS NOT NULL GROUP BY event_id
        UNION ALL
        SELECT -1, -1, 'N/A'""",
    "dim_seminar_session": """
        SELECT session_id, known_id(max(event_id)) AS event_id, known_time(max(session_start)) AS session_start,
            known_time(max(session_finish)) AS session_finish,
            known_id(max(session_duration)) AS total_duration_minutes
        FROM silver.seminar_attendance WHERE session_id IS NOT NULL GROUP BY session_id
        UNION ALL
        SELECT -1, -1, TIMESTAMP '1900-01-01', TIMESTAMP '1900-01-01', -1""",
    "dim_competency": """
        SELECT competency_id, known_text(max(competency_name)) AS competency_name
        FROM silver.competency_ratings GROUP BY competency_id
        UNION ALL
        SELECT -1, 'N/A'""",
}

PROGRESS_DIMENSIONS = {
    "dim_course_progress": """
        SELECT packed(course_id, user_id) AS course_user_id, course_id, user_id,
            known_text(course_name) AS course_name, known_text(course_category) AS course_category,
            known_text(completion_status) AS completion_status, time_enrolled, time_started, time_completed
        FROM silver.course_completions
        UNION ALL
        SELECT -1, -1, -1, 'N/A', 'N/A', 'N/A', TIMESTAMP '1900-01-01', TIMESTAMP '1900-01-01',
            TIMESTAMP '1900-01-01'""",
    "dim_program_progress": """
        SELECT packed(completion.program_id, completion.user_id) AS program_user_id, completion.program_id,
            completion.user_id, known_text(status) AS status, time_assigned,
            CASE WHEN overview.user_id IS NULL THEN coalesce(time_completed, time_assigned)
                 ELSE time_completed END AS time_completed,
            time_started, CASE WHEN overview.user_id IS NULL THEN 'Unassigned' ELSE 'Assigned' END
                AS assignment_status
        FROM silver.prog_completions AS completion
        LEFT JOIN (SELECT DISTINCT program_id, user_id FROM silver.prog_overview) AS overview
            ON overview.program_id = completion.program_id AND overview.user_id = completion.user_id
        UNION ALL
        SELECT -1, -1, -1, 'N/A', TIMESTAMP '1900-01-01', TIMESTAMP '1900-01-01', TIMESTAMP '1900-01-01', 'N/A'""",
    "dim_certification_progress": """
        SELECT packed(completion.certification_id, completion.user_id) AS certification_user_id,
            completion.certification_id, completion.user_id, known_text(status) AS status, time_assigned,
            CASE WHEN overview.user_id IS NULL AND status IS DISTINCT FROM 'Expired'
                 THEN coalesce(time_completed, time_assigned) ELSE time_completed END AS time_completed,
            time_started, known_text(certification_name) AS certification_name,
            known_id(include_in_dashboard) AS include_in_dashboard,
            CASE WHEN overview.user_id IS NULL THEN 'Unassigned' ELSE 'Assigned' END AS assignment_status
        FROM silver.cert_completions AS completion
        LEFT JOIN (SELECT DISTINCT certification_id, user_id FROM silver.cert_overview) AS overview
            ON overview.certification_id = completion.certification_id AND overview.user_id = completion.user_id
        UNION ALL
        SELECT -1, -1, -1, 'N/A', TIMESTAMP '1900-01-01', TIMESTAMP '1900-01-01', TIMESTAMP '1900-01-01', 'N/A',
            -1, 'N/A'""",
}


def date_dimensions(calendar: Calendar) -> dict[str, str]:
    days = f"""generate_series(TIMESTAMP '2011-01-01', TIMESTAMP '{calendar.as_of}', INTERVAL 1 DAY) AS days(day)"""
    years = ", ".join(f"('{label}', DATE '{calendar.start_of(label)}', DATE '{calendar.end_of(label)}')"
                      for label in range(calendar.first, calendar.last + 1))
    years = f"(VALUES {years}, ('N/A', {NO_DATE}, {NO_DATE}))"
    return {
        "dim_date_began": f"""
            SELECT CAST(day AS DATE) AS date, CAST(strftime(day, '%Y%m%d') AS BIGINT) AS date_num FROM {days}""",
        "dim_date_completed": f"""
            SELECT CAST(day AS DATE) AS completed_date, CAST(day AS DATE) AS clean_completed_date FROM {days}
            UNION ALL
            SELECT {NO_DATE}, NULL""",
        "dim_fy_began": f"SELECT * FROM {years} AS years(fy_began, fy_start_date, fy_end_date)",
        "dim_fy_completed": f"SELECT * FROM {years} AS years(fy_completed, fy_start_date, fy_end_date)",
    }


@dataclass(frozen=True)
class Model:
    name: str
    query: str
    kept: bool = False
    partition_by: str | None = None


# What later models read is kept as a DuckDB table; everything else goes straight from its query to Delta.
KEPT = {*PROGRESS_DIMENSIONS, "fact_course_progress", "fact_course_to_cert_progress", "fact_program_progress",
        "fact_certification_progress"}


def models(calendar: Calendar) -> list[Model]:
    """Every gold table in an order in which each finds what it reads."""
    queries = {**PROGRESS_DIMENSIONS, **PROGRESS, **HISTORIES, **LEARNING, **PEOPLE_AND_PLACES, **THINGS,
               **date_dimensions(calendar)}
    window = {"first_year": calendar.first, "last_year": calendar.last_started()}
    return [
        Model(name, query(keys, **window) if callable(query) else query, name in KEPT,
              "fy_completed" if name in HISTORIES else None)
        for name, query in queries.items()
    ]
