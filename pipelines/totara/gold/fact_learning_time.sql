-- Both facts have their fiscal years already. They are taken as they are, because eLearning has its year of completion
-- from its start and IRL from its finish.
SELECT
    user_id,
    program_id,
    course_id,
    scorm_id,
    program_user_id,
    course_user_id,
    event_id,
    session_id,
    'eLearning' AS learning_type,
    concat('eLearning_', sco_status) AS timed_learning_status,
    date_began,
    date_completed,
    sco_total_time_ms,
    CAST(0 AS BIGINT) AS duration_minutes,
    CAST(0 AS BIGINT) AS time_spent_minutes,
    fy_began,
    fy_completed
FROM gold.fact_scorm
UNION ALL
SELECT
    user_id,
    program_id,
    course_id,
    scorm_id,
    program_user_id,
    course_user_id,
    event_id,
    session_id,
    'IRL' AS learning_type,
    concat('IRL_', session_attendance) AS timed_learning_status,
    date_began,
    date_completed,
    CAST(0 AS BIGINT) AS sco_total_time_ms,
    duration_minutes,
    time_spent_minutes,
    fy_began,
    fy_completed
FROM gold.fact_seminar_signup
