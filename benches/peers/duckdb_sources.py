"""The 13 CSV sources and the date workbook, as SOURCES.md describes them."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    header: str
    name: str
    kind: str
    optional: bool
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    name: str
    patterns: tuple[str, ...]
    key: tuple[str, ...]
    required_columns: tuple[str, ...]
    columns: tuple[Column, ...]
    required: bool = False
    sheet: str | None = None


def snake_case(header: str) -> str:
    """The column name of a header nobody declared: lower case, everything else an underscore."""
    return re.sub(r"[^a-z0-9]+", "_", header.strip().lower()).strip("_")


def normal_header(header: str) -> str:
    return " ".join(header.split()).casefold()


def columns_of(text: str) -> tuple[Column, ...]:
    """Reads lines of `Header? [-> name] : kind [| alias header]`."""
    columns = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        declared, kind = (part.strip() for part in line.rsplit(" : ", 1))
        kind, *aliases = (part.strip() for part in kind.split("|"))
        header, _, name = (part.strip() for part in declared.partition("->"))
        optional = header.endswith("?")
        header = header.removesuffix("?")
        columns.append(Column(header, name or snake_case(header), kind, optional, tuple(aliases)))
    return tuple(columns)


def source(name, patterns, key, columns, required=False, required_columns=None, sheet=None) -> Source:
    keys = tuple(key.split())
    needed = keys if required_columns is None else tuple(required_columns.split())
    return Source(name, tuple(patterns.split()), keys, needed, columns_of(columns), required, sheet)


SOURCES = (
    # The key is the row's in silver.user_assignments; silver.users then picks one row per person.
    source("users", "analytics_users* *users_report*", "user_id assignment_id", """
        User ID : id
        User's Fullname -> full_name : text
        User First Name -> first_name : text
        User Last Name -> last_name : text
        User's Country? -> country : text
        User's City? -> city : text
        User Status : text
        Assignment ID : id
        Assignment Name : text
        Organisation ID : id
        Organisation Name : text
        Position ID : id
        Position Name : text
        Manager ID : id
        Manager Name : text
        Appraiser ID? : id
        Appraiser Name? : text""", required=True, required_columns="user_id"),
    source("course_completions", "analytics_course_completions* *course_completions_report*", "user_id course_id", """
        User ID : id
        Course ID : id
        Course Name : text
        Course Category : text
        Time enrolled : timestamp
        Time started : timestamp
        Time completed : timestamp
        Completion Status : text
        Completion Due Date : timestamp
        Include in dashboard : long""", required=True),
    source("cert_completions", "analytics_cert_completions* *certification_completions_report*",
           "user_id certification_id", """
        User ID : id
        Certification ID : id
        Certification Name : text
        Course Category -> certification_category : text
        Status : text
        Time Expires : timestamp
        Time completed : timestamp
        Time assigned : timestamp
        Time started : timestamp
        Include in dashboard : long""", required=True),
    source("prog_completions", "analytics_prog_completions* *program_completions_report*", "user_id program_id", """
        User ID : id
        Program ID : id
        Program Name : text
        Category : text
        Time assigned : timestamp
        Time started : timestamp
        Time completed : timestamp
        Time due : timestamp
        Status : text
        Include in dashboard : long""", required=True),
    source("prog_overview", "analytics_prog_overview* *program_overview_report*", "program_id user_id course_id", """
        Program ID : id
        Program Name : text
        Due date : timestamp
        User ID : id
        Course ID : id"""),
    source("cert_overview", "analytics_cert_overview* *certifications_overview_report*",
           "certification_id user_id course_id", """
        Certification ID : id
        Certification Name : text
        Due date : timestamp
        User ID : id
        Course ID : id"""),
    source("scorm", "analytics_scorm* *scorm_report*", "", """
        User ID : id
        Course ID : id
        Course Name : text
        SCORM Title : text
        SCO Start Date : timestamp
        SCO Total Time (milliseconds) -> sco_total_time_ms : long
        SCO Status : text"""),
    source("seminar_attendance", "analytics_seminar_attendance* *seminar_attendance_report*", "", """
        User ID : id
        Course ID : id
        Seminar Name : text
        Event ID : id
        Session ID : id
        Session attendance : text
        Signup status? : text
        Session Start Date/Time -> session_start : timestamp
        Session Finish Date/Time -> session_finish : timestamp
        Session Duration -> session_duration : long | Session Duration (minutes)"""),
    source("audiences", "analytics_audiences* *audiences_report*", "audience_id user_id", """
        Audience Name : text
        Audience ID : id
        User ID : id
        Status : text"""),
    source("competency_ratings", "analytics_competency_ratings* *competency_ratings_report*",
           "user_id competency_id", """
        User ID : id
        Competency ID : id
        Competency Name? : text
        Rating : text
        Time rated? : timestamp"""),
    source("organisations", "analytics_organisations* *organisations_report*", "organisation_id", """
        Organisation ID : id
        Name : text
        Parent ID number -> parent_id : id
        Framework : text
        Organisation Path : text
        Organisation Depth Level : long""", required=True),
    source("positions", "analytics_positions* *positions_report*", "position_id", """
        Position ID : id
        Position Name : text
        Position Parent ID : id
        Framework Name : text
        Position Path : text
        Position Depth Level : long""", required=True),
    source("null_dates", "null_dates*", "seq", """
        Seq : long
        Date : date"""),
    source("dimdates", "dimdates*.xlsx", "date_num", """
        DateNum -> date_num : long
        Date : date
        YearMonthNum -> year_month_num : long
        Calendar_Quarter : text
        MonthNum -> month_num : long
        MonthName -> month_name : text
        MonthShortName -> month_short_name : text
        WeekNum -> week_num : long
        DayNumOfYear -> day_num_of_year : long
        DayNumOfMonth -> day_num_of_month : long
        DayNumOfWeek -> day_num_of_week : long
        DayName -> day_name : text
        DayShortName -> day_short_name : text
        Quarter : long
        YearQuarterNum -> year_quarter_num : long
        DayNumOfQuarter -> day_num_of_quarter : long""", sheet="DimDates"),
)
