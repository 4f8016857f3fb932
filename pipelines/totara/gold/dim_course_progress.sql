SELECT
    course_id * 4294967296 + user_id AS course_user_id,
    course_id,
    user_id,
    course_name,
    course_category,
    completion_status,
    time_enrolled,
    time_started,
    time_completed
FROM silver.course_completions
