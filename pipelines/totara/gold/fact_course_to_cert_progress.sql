WITH certifications_of_enrolments AS (
    -- Which certifications a learner takes which course in, and since when. A certification in the overview
    -- without a progress row keeps its id; only the key of the progress row is missing then.
    SELECT
        overview.course_id,
        overview.user_id,
        overview.certification_id,
        progress.certification_user_id,
        progress.time_assigned
    FROM silver.cert_overview AS overview
    LEFT JOIN gold.dim_certification_progress AS progress
        ON progress.certification_id = overview.certification_id
        AND progress.user_id = overview.user_id
),

enrolments AS (
    SELECT
        completions.user_id,
        completions.course_id,
        certifications.certification_id,
        certifications.certification_user_id,
        completions.time_enrolled,
        completions.time_completed,
        completions.completion_due_date,
        coalesce(completions.time_enrolled, certifications.time_assigned, completions.time_completed) AS time_began
    FROM silver.course_completions AS completions
    LEFT JOIN certifications_of_enrolments AS certifications
        ON certifications.course_id = completions.course_id
        AND certifications.user_id = completions.user_id
)

SELECT
    user_id,
    course_id,
    certification_id AS cert_id,
    certification_user_id,
    course_id * 4294967296 + user_id AS course_user_id,
    -- Real exports have completions before enrolments. Nothing ends before it begins, so the completion counts;
    -- least() passes over a completion that is missing.
    CAST(least(time_began, time_completed) AS DATE) AS date_began,
    CAST(time_completed AS DATE) AS date_completed,
    CAST(CAST(time_completed AS DATE) AS INT) - CAST(CAST(time_enrolled AS DATE) AS INT) AS days_difference,
    CASE WHEN time_completed IS NULL AND CAST(completion_due_date AS DATE) < $as_of THEN 1 ELSE 0 END AS is_overdue
FROM enrolments
-- An enrolment that never began, was never assigned and never ended has no place on a time axis.
WHERE time_began IS NOT NULL
