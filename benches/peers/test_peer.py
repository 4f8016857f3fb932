"""Checks of the peer against results worked out by hand. Run: python -m unittest"""

import argparse
import datetime
import tempfile
import unittest
from pathlib import Path

import duckdb
from deltalake import DeltaTable

import duckdb_bronze
import duckdb_gold
import duckdb_lake
import duckdb_silver

DAY = datetime.date
NEVER = DAY(1900, 1, 1)
COURSE_HEADER = ("User ID,Course ID,Course Name,Course Category,Time enrolled,Time started,Time completed,"
                 "Completion Status,Completion Due Date,Include in dashboard")

# Course 1: begun 2019, completed 2021. 2: only known by its two programs. 3: no time at all. 4: completed before it was
# enrolled in. 5: rows A, B, A of one key. The last row lacks its course.
COURSES = f"""{COURSE_HEADER}
1,1,One,Cat,"31/12/2019, 23:59:59","01/06/2020, 00:00:00","31/12/2021, 12:00:00",Complete,,1
1,2,Two,Cat,,"02/05/2019, 00:00:00",,In progress,"29/06/2022, 10:00:00",1
1,3,Three,Cat,,,,Not yet started,,1
1,4,Four,Cat,"05/03/2020, 10:00:00",,"04/03/2020, 09:00:00",Complete via rpl,"01/01/2020, 00:00:00",
1,5,A,Cat,"01/01/2022, 00:00:00",,,Not yet started,,1
1,5,B,Cat,"01/01/2022, 00:00:00",,,Not yet started,,1
1,5,A,Cat,"01/01/2022, 00:00:00",,,Not yet started,,1
1,,Six,Cat,,,,,,1
"""
FILES = {
    "analytics_course_completions_20220630.csv": ("\ufeff" + COURSES.replace("\n", "\r\n")).encode(),
    "Kineo_Users_Report.csv": """ user id ,User's  Fullname,User First Name,User Last Name,User Status,Assignment ID,\
Assignment Name,Organisation ID,Organisation Name,Position ID,Position Name,Manager ID,Manager Name
1,"Ann, ""A""\u3000\nB ",Ann,\u00a0,Active,7,late,,,,,3, 
1,Ann,Ann,,Active,5,early,,,,,2,Two
2,Two,Two,,Active,,,,,,,1,Ann
3,Three,Three,,Active,,,,,,,3,Three
4,Four,Four,,Active,,,,,,,99,
5,Five,Five,,Active,,,,,,,12.0,
""".encode("utf-16"),
    "analytics_prog_completions.csv": """User ID,Program ID,Program Name,Category,Time assigned,Time started,\
Time completed,Time due,Status,Include in dashboard
1,10,P,C,"01/05/2019, 00:00:00",,,,Not complete,1
1,11,P,C,"01/05/2021, 00:00:00",,,,Not complete,1
1,12,P,C,"01/05/2022, 00:00:00",,,,Not complete,1
1,13,P,C,,,,,Not complete,1
""".encode(),
    "analytics_prog_overview.csv": b"""Program ID,Program Name,Due date,User ID,Course ID
10,P,"01/01/2021, 00:00:00",1,2
11,P,,1,2
13,P,"30/06/2022, 00:00:00",1,77
10,P,"02/01/2021, 00:00:00",1,78
""",
    "analytics_cert_completions.csv": """User ID,Certification ID,Certification Name,Course Category,Status,\
Time Expires,Time completed,Time assigned,Time started,Include in dashboard
1,20,C,Cat\u00e9,Expired,,,"01/01/2022, 00:00:00",,1
1,21,C,Cat,,,,"01/01/2022, 00:00:00",,1
1,22,C,Cat,Certified,,"01/02/2021, 00:00:00","03/02/2022, 00:00:00",,1
""".encode("windows-1252"),
    "analytics_organisations.csv": b"""Organisation ID,Name,Parent ID number,Framework,Organisation Path,\
Organisation Depth Level
1,Root,0,F,1,1
""",
    "analytics_positions.csv": b"""Position ID,Position Name,Position Parent ID,Framework Name,Position Path,\
Position Depth Level
""",
    "analytics_seminar_attendance.csv": b"""User ID,Course ID,Seminar Name,Event ID,Session ID,Session attendance,\
Signup status,Session Start Date/Time,Session Finish Date/Time,Session Duration (minutes)
1,1,S,8,9,Not set,Booked,"01/01/2022, 10:00:30","01/01/2022, 11:00:29",60
1,1,S,8,9,Not set,Booked,"01/01/2022, 10:00:30","01/01/2022, 11:00:29",60
4,1,S,8,9,No show,Booked,'1900-01-01',1900-01-01,
""",
}


class WholeLake(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = Path(cls.folder.name)
        (root / "drop").mkdir()
        for name, content in FILES.items():
            (root / "drop" / name).write_bytes(content)
        options = argparse.Namespace(source=root / "drop", lake=root, customer="test", as_of=DAY(2022, 6, 30),
                                     fiscal_year_start_month=1, fiscal_year_first=2012, fiscal_year_last=2036,
                                     on_disk=False, memory_limit=None)
        with duckdb_lake.connect(options, root) as connection:
            cls.rows = duckdb_lake.build(options, connection, root)
        cls.tables = root / "test"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def read(self, table, columns):
        names = columns.split()
        found = DeltaTable(self.tables / table).to_pyarrow_table(columns=names).to_pydict()
        return sorted(zip(*(found[name] for name in names), strict=True), key=repr)

    def test_rules_of_silver(self):
        self.assertEqual(self.read("silver/course_completions", "course_id course_name"),
                         [(1, "One"), (2, "Two"), (3, "Three"), (4, "Four"), (5, "B")])
        self.assertEqual(self.read("silver/users", "user_id assignment_id last_name manager_id"),
                         [(1, 5, None, 2), (2, None, None, 1), (3, None, None, 3), (4, None, None, 99),
                          (5, None, None, None)])
        self.assertIn(('Ann, "A"\u3000\nB',), self.read("silver/user_assignments", "full_name"))
        self.assertEqual(self.read("silver/certifications", "certification_id certification_category")[0],
                         (20, "Cat\u00e9"))

    def test_closure_on_a_cycle_and_over_assignments(self):
        beside_self = [row for row in self.read(
            "silver/user_hierarchy", "employee_id manager_id relationship_type depth assignment_id") if row[3]]
        self.assertEqual(beside_self, [(1, 2, "direct", 1, 5), (1, 3, "direct", 1, 7), (2, 1, "direct", 1, None),
                                       (2, 3, "indirect", 2, None), (4, 99, "direct", 1, None)])
        self.assertEqual(self.read("gold/dim_manager", "manager_id manager_name"),
                         [(-1, "N/A"), (1, "Ann"), (2, "Two"), (3, "Three"), (4, "Four"), (5, "Five"), (99, "N/A")])
        relationships = self.read("gold/dim_manager_relationship", "manager_id employee_id relationship_type depth")
        self.assertEqual([row for row in relationships if row[0] == -1], [(-1, -1, "N/A", 0), (-1, 5, "direct", 1)])

    def test_course_progress(self):
        columns = "course_id program_id date_began date_completed days_difference is_overdue fy_completed fy_began"
        self.assertEqual(self.read("gold/fact_course_progress", columns), [
            (1, -1, DAY(2019, 12, 31), DAY(2021, 12, 31), 731, 0, "2021", "2019"),
            (2, 10, DAY(2019, 5, 1), NEVER, None, 1, "N/A", "2019"),
            (2, 11, DAY(2021, 5, 1), NEVER, None, 1, "N/A", "2021"),
            (4, -1, DAY(2020, 3, 4), DAY(2020, 3, 4), -1, 0, "2020", "2020"),
            (5, -1, DAY(2022, 1, 1), NEVER, None, 0, "N/A", "2022")])

    def test_course_history(self):
        columns = "course_id fy_status program_id date_began fy_began course_completion_status_for_fy"
        began = DAY(2019, 12, 31)
        self.assertEqual(self.read("gold/fact_course_history", columns), [
            (1, 2019, -1, began, "2019", "Not yet started"), (1, 2020, -1, began, "2019", "In progress"),
            (1, 2021, -1, began, "2019", "Complete"),
            (2, 2019, 10, DAY(2019, 5, 1), "2019", "In progress"),
            (2, 2020, 10, DAY(2019, 5, 1), "2019", "In progress"),
            (2, 2021, 11, DAY(2021, 5, 1), "2021", "In progress"),
            (2, 2022, 11, DAY(2021, 5, 1), "2021", "In progress"),
            (4, 2020, -1, DAY(2020, 3, 4), "2020", "Complete"),
            (5, 2022, -1, DAY(2022, 1, 1), "2022", "Not yet started")])

    def test_program_progress(self):
        columns = "program_id date_began due_date date_completed is_overdue days_difference"
        self.assertEqual(self.read("gold/fact_program_progress", columns), [
            (10, DAY(2019, 5, 1), DAY(2021, 1, 2), NEVER, 1, None), (11, DAY(2021, 5, 1), NEVER, NEVER, 0, None),
            (12, DAY(2022, 5, 1), NEVER, DAY(2022, 5, 1), 0, 0), (13, NEVER, DAY(2022, 6, 30), NEVER, 0, None)])
        history = self.read("gold/fact_program_history", "program_id fy_status program_completion_status_for_fy")
        self.assertEqual([row[1] for row in history if row[0] == 13], list(range(2012, 2023)))
        self.assertIn((12, 2022, "Completed"), history)

    def test_unassigned_certifications(self):
        columns = "certification_id status time_completed assignment_status"
        assigned = datetime.datetime(2022, 1, 1)
        self.assertEqual(self.read("gold/dim_certification_progress", columns)[1:], [
            (20, "Expired", None, "Unassigned"), (21, "N/A", assigned, "Unassigned"),
            (22, "Certified", datetime.datetime(2021, 2, 1), "Unassigned")])
        self.assertEqual(
            self.read("gold/fact_certification_history", "cert_id fy_status certification_completion_status_for_fy"),
            [(20, 2022, "Expired"), (21, 2022, "N/A")])

    def test_seminars(self):
        columns = "user_id course_user_id attendance_status date_began duration_minutes time_spent_minutes fy_began"
        self.assertEqual(self.read("gold/fact_seminar_signup", columns), [
            (1, 2**32 + 1, "Booked", DAY(2022, 1, 1), 60, 59, "2022"), (4, -1, "No show", NEVER, None, None, "N/A")])
        self.assertEqual(self.read("gold/fact_learning_time", "timed_learning_status sco_total_time_ms"),
                         [("IRL_No show", 0), ("IRL_Not set", 0)])

    def test_empty_tables_have_their_unknown_member_only(self):
        for table in ("dim_scorm", "dim_audience", "dim_position", "dim_competency"):
            self.assertEqual(self.rows[f"gold.{table}"], 1, table)


class Functions(unittest.TestCase):
    def value(self, expression, macros):
        with duckdb.connect() as connection:
            connection.execute(macros)
            return connection.execute(f"SELECT {expression}").fetchone()[0]

    def test_fiscal_years(self):
        july = duckdb_gold.Calendar(DAY(2024, 6, 30), 7, 2012, 2036)
        january = duckdb_gold.Calendar(DAY(2024, 6, 30), 1, 2012, 2036)
        self.assertEqual((july.start_of(2025), july.end_of(2025)), (DAY(2024, 7, 1), DAY(2025, 6, 30)))
        self.assertEqual((july.last_started(), january.last_started()), (2024, 2024))
        for calendar, day, label in ((july, "2024-07-01", "2025"), (july, "2025-06-30", "2025"),
                                     (july, "2011-06-30", "N/A"), (july, "2011-07-01", "2012"),
                                     (july, "2036-07-01", "N/A"), (january, "2036-12-31", "2036"),
                                     (january, "2011-12-31", "N/A")):
            self.assertEqual(self.value(f"fiscal_year(DATE '{day}')", duckdb_gold.macros(calendar)), label)
        self.assertEqual(self.value("fiscal_year(NULL::DATE)", duckdb_gold.macros(july)), "N/A")

    def test_casts(self):
        midday = datetime.datetime(2023, 5, 13, 12)
        for expression, expected in (
                ("as_id('2147483647')", 2147483647), ("as_id('2147483648')", None), ("as_id('-1')", None),
                ("as_id('12.0')", None), ("as_id('1,000')", None), ("as_id(' 7 ')", 7), ("as_id('1e3')", None),
                ("as_long('-5')", -5), ("as_text(' \u2003')", None), ("as_text('N/A')", "N/A"),
                ("as_timestamp('13/05/2023, 12:00:00')", midday), ("as_timestamp('2023-05-13T12:00:00')", midday),
                ("as_timestamp('1900-01-01')", None), ("as_timestamp('31/02/2023, 12:00:00')", None)):
            self.assertEqual(self.value(expression, duckdb_silver.MACROS), expected, expression)

    def test_scorm_id_is_the_first_63_bits(self):
        # SHA-256 of "abc" begins ba7816bf 8f01cfea.
        self.assertEqual(self.value("scorm_id_of('abc')", duckdb_silver.MACROS), 0xBA7816BF8F01CFEA >> 1)

    def test_newest_export_of_a_source(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("analytics_users_20240101.csv", "Analytics_Users_2024-01-02_2.csv",
                         "analytics_users_2024-01-02_1.CSV.GZ", "notes.txt"):
                (Path(folder) / name).touch()
            found = duckdb_bronze.discover(Path(folder))["users"]
        self.assertEqual([path.name for path in found],
                         ["analytics_users_2024-01-02_1.CSV.GZ", "Analytics_Users_2024-01-02_2.csv"])


if __name__ == "__main__":
    unittest.main()
