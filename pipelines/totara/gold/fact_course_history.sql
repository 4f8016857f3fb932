-- Stands on the fact, so that both tell of the same enrolments and of the same beginnings.
SELECT
    enrolments.user_id,
    enrolments.program_id,
    enrolments.course_id,
    enrolments.program_user_id,
    enrolments.course_user_id,
    enrolments.date_began,
    -- The fact's completion is the dimension's. Its 1900-01-01 becomes missing again for the status.
    nullif(enrolments.date_completed, DATE '1900-01-01') AS date_completed,
    progress.time_started,
    progress.completion_status
FROM gold.fact_course_progress AS enrolments
INNER JOIN gold.dim_course_progress AS progress
    ON progress.course_user_id = enrolments.course_user_id
