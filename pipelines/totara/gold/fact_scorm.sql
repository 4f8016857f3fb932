SELECT
    attempts.user_id,
    overview.program_id,
    attempts.course_id,
    attempts.scorm_id,
    overview.program_id * 4294967296 + overview.user_id AS program_user_id,
    enrolments.course_user_id,
    attempts.scorm_title,
    CAST(attempts.sco_start_date AS DATE) AS date_began,
    CAST(NULL AS DATE) AS date_completed,
    attempts.sco_status,
    attempts.sco_total_time_ms
FROM silver.scorm AS attempts
LEFT JOIN silver.prog_overview AS overview
    ON overview.course_id = attempts.course_id
    AND overview.user_id = attempts.user_id
-- Only a learner who is enrolled has a progress row to lead to.
LEFT JOIN gold.dim_course_progress AS enrolments
    ON enrolments.course_user_id = attempts.course_id * 4294967296 + attempts.user_id
