"""The facts of GOLD.md beside the histories. Each is a function of `keys`, which writes the ten conformed keys."""


def course_progress(keys, **_) -> str:
    progress_keys = keys(user_id="completion.user_id", course_id="completion.course_id",
                         program_id="overview.program_id",
                         program_user_id="progress.program_user_id",
                         course_user_id="packed(completion.course_id, completion.user_id)")
    return enrolments(progress_keys, """
        LEFT JOIN silver.prog_overview AS overview
            ON overview.course_id = completion.course_id AND overview.user_id = completion.user_id
        LEFT JOIN gold.dim_program_progress AS progress
            ON progress.program_user_id = packed(overview.program_id, overview.user_id)""")


def course_to_cert_progress(keys, **_) -> str:
    progress_keys = keys(user_id="completion.user_id", course_id="completion.course_id",
                         cert_id="overview.certification_id",
                         certification_user_id="progress.certification_user_id",
                         course_user_id="packed(completion.course_id, completion.user_id)")
    return enrolments(progress_keys, """
        LEFT JOIN silver.cert_overview AS overview
            ON overview.course_id = completion.course_id AND overview.user_id = completion.user_id
        LEFT JOIN gold.dim_certification_progress AS progress
            ON progress.certification_user_id = packed(overview.certification_id, overview.user_id)""")


def enrolments(progress_keys: str, joins: str) -> str:
    """One row per enrolment and program (or certification) that contains the course. least() passes over NULL."""
    began = "coalesce(completion.time_enrolled, progress.time_assigned, completion.time_completed)"
    return f"""
        WITH enrolment AS (
            SELECT {progress_keys}, key_date(least({began}, completion.time_completed)) AS date_began,
                key_date(completion.time_completed) AS date_completed,
                days_from(completion.time_enrolled, completion.time_completed) AS days_difference,
                overdue(completion.completion_due_date, completion.time_completed) AS is_overdue
            FROM silver.course_completions AS completion {joins}
            WHERE {began} IS NOT NULL)
        SELECT *, fiscal_year(date_completed) AS fy_completed, fiscal_year(date_began) AS fy_began FROM enrolment"""


def program_progress(keys, **_) -> str:
    progress_keys = keys(user_id="completion.user_id", program_id="completion.program_id",
                         program_user_id="progress.program_user_id")
    return f"""
        WITH assignment AS (
            SELECT {progress_keys}, key_date(completion.time_assigned) AS date_began,
                key_date(overview.due_date) AS due_date, key_date(progress.time_completed) AS date_completed,
                overdue(overview.due_date, progress.time_completed) AS is_overdue,
                days_from(completion.time_assigned, progress.time_completed) AS days_difference
            FROM silver.prog_completions AS completion
            JOIN gold.dim_program_progress AS progress
                ON progress.program_user_id = packed(completion.program_id, completion.user_id)
            LEFT JOIN (SELECT program_id, user_id, max(due_date) AS due_date
                       FROM silver.prog_overview GROUP BY program_id, user_id) AS overview
                ON overview.program_id = completion.program_id AND overview.user_id = completion.user_id)
        SELECT *, fiscal_year(date_began) AS fy_began, fiscal_year(date_completed) AS fy_completed FROM assignment"""


def certification_progress(keys, **_) -> str:
    progress_keys = keys(user_id="completion.user_id", cert_id="completion.certification_id",
                         certification_user_id="progress.certification_user_id")
    return f"""
        WITH assignment AS (
            SELECT {progress_keys}, completion.time_expires, known_text(completion.status) AS status,
                key_date(coalesce(completion.time_assigned, progress.time_completed)) AS date_began,
                key_date(progress.time_completed) AS date_completed,
                days_from(completion.time_assigned, progress.time_completed) AS days_difference
            FROM silver.cert_completions AS completion
            JOIN gold.dim_certification_progress AS progress
                ON progress.certification_user_id = packed(completion.certification_id, completion.user_id))
        SELECT *, fiscal_year(date_began) AS fy_began, fiscal_year(date_completed) AS fy_completed FROM assignment"""


# course_user_id applies only where the person is enrolled in the course.
ENROLMENT = """
    LEFT JOIN silver.course_completions AS enrolment
        ON enrolment.course_id = attempt.course_id AND enrolment.user_id = attempt.user_id"""


def scorm(keys, **_) -> str:
    attempt_keys = keys(user_id="attempt.user_id", course_id="attempt.course_id", scorm_id="attempt.scorm_id",
                        program_id="overview.program_id",
                        program_user_id="packed(overview.program_id, overview.user_id)",
                        course_user_id="packed(enrolment.course_id, enrolment.user_id)")
    return f"""
        WITH attempts AS (
            SELECT {attempt_keys}, key_date(attempt.sco_start_date) AS date_began,
                DATE '1900-01-01' AS date_completed, known_text(attempt.sco_status) AS sco_status,
                attempt.sco_total_time_ms, known_text(attempt.scorm_title) AS scorm_title
            FROM silver.scorm AS attempt
            LEFT JOIN silver.prog_overview AS overview
                ON overview.course_id = attempt.course_id AND overview.user_id = attempt.user_id
            {ENROLMENT})
        SELECT * EXCLUDE (scorm_title), fiscal_year(date_began) AS fy_began, fiscal_year(date_began) AS fy_completed,
            scorm_title
        FROM attempts"""


def seminar_signup(keys, **_) -> str:
    """date_sub counts full minutes, where date_diff would count the minute hands that were passed."""
    attempt_keys = keys(user_id="attempt.user_id", course_id="attempt.course_id", event_id="attempt.event_id",
                        session_id="attempt.session_id",
                        course_user_id="packed(enrolment.course_id, enrolment.user_id)")
    return f"""
        WITH signups AS (
            SELECT {attempt_keys},
                known_text(CASE WHEN attempt.session_attendance = 'Not set' AND attempt.signup_status IS NOT NULL
                                THEN attempt.signup_status ELSE attempt.session_attendance END) AS attendance_status,
                key_date(attempt.session_start) AS date_began, key_date(attempt.session_finish) AS date_completed,
                attempt.session_duration AS duration_minutes,
                date_sub('minute', attempt.session_start, attempt.session_finish) AS time_spent_minutes,
                known_text(attempt.session_attendance) AS session_attendance
            FROM silver.seminar_attendance AS attempt {ENROLMENT})
        SELECT * EXCLUDE (session_attendance), fiscal_year(date_began) AS fy_began,
            fiscal_year(date_completed) AS fy_completed, session_attendance
        FROM signups"""


def learning_time(keys, **_) -> str:
    key_names = keys().replace("-1::BIGINT AS ", "")
    return f"""
        SELECT {key_names}, 'eLearning' AS learning_type, 'eLearning_' || sco_status AS timed_learning_status,
            sco_total_time_ms, 0::BIGINT AS duration_minutes, 0::BIGINT AS time_spent_minutes, date_began,
            date_completed, fy_began, fy_completed
        FROM ({scorm(keys)})
        UNION ALL
        SELECT {key_names}, 'IRL', 'IRL_' || session_attendance, 0, duration_minutes, time_spent_minutes, date_began,
            date_completed, fy_began, fy_completed
        FROM ({seminar_signup(keys)})"""


def competency_rating(keys, **_) -> str:
    return f"""
        SELECT {keys(user_id="user_id")}, competency_id, known_text(rating) AS rating, time_rated,
            key_date(time_rated) AS date_rated
        FROM silver.competency_ratings"""


PROGRESS = {
    "fact_course_progress": course_progress,
    "fact_course_to_cert_progress": course_to_cert_progress,
    "fact_program_progress": program_progress,
    "fact_certification_progress": certification_progress,
}

LEARNING = {
    "fact_scorm": scorm,
    "fact_seminar_signup": seminar_signup,
    "fact_learning_time": learning_time,
    "fact_competency_rating": competency_rating,
}
