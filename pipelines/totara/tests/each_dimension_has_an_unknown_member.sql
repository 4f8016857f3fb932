-- description: a key that is -1 in a fact leads to one row of its dimension, which stands for "unknown"
WITH members AS (
    SELECT 'dim_user' AS dimension, count(*) AS members FROM gold.dim_user WHERE user_id = -1
    UNION ALL
    SELECT 'dim_user_history' AS dimension, count(*) AS members FROM gold.dim_user_history WHERE user_id = -1
    UNION ALL
    SELECT 'dim_manager' AS dimension, count(*) AS members FROM gold.dim_manager WHERE manager_id = -1
    UNION ALL
    SELECT 'dim_course' AS dimension, count(*) AS members FROM gold.dim_course WHERE course_id = -1
    UNION ALL
    SELECT 'dim_cert' AS dimension, count(*) AS members FROM gold.dim_cert WHERE cert_id = -1
    UNION ALL
    SELECT 'dim_programs' AS dimension, count(*) AS members FROM gold.dim_programs WHERE program_id = -1
    UNION ALL
    SELECT 'dim_scorm' AS dimension, count(*) AS members FROM gold.dim_scorm WHERE scorm_id = -1
    UNION ALL
    SELECT 'dim_seminar_event' AS dimension, count(*) AS members FROM gold.dim_seminar_event WHERE event_id = -1
    UNION ALL
    SELECT 'dim_seminar_session' AS dimension, count(*) AS members FROM gold.dim_seminar_session WHERE session_id = -1
    UNION ALL
    SELECT 'dim_course_progress' AS dimension, count(*) AS members FROM gold.dim_course_progress WHERE course_user_id = -1
    UNION ALL
    SELECT 'dim_program_progress' AS dimension, count(*) AS members FROM gold.dim_program_progress WHERE program_user_id = -1
    UNION ALL
    SELECT 'dim_certification_progress' AS dimension, count(*) AS members FROM gold.dim_certification_progress WHERE certification_user_id = -1
    UNION ALL
    SELECT 'dim_organisation' AS dimension, count(*) AS members FROM gold.dim_organisation WHERE organisation_id = -1
    UNION ALL
    SELECT 'dim_position' AS dimension, count(*) AS members FROM gold.dim_position WHERE position_id = -1
    UNION ALL
    SELECT 'dim_audience' AS dimension, count(*) AS members FROM gold.dim_audience WHERE audience_id = -1
    UNION ALL
    SELECT 'dim_competency' AS dimension, count(*) AS members FROM gold.dim_competency WHERE competency_id = -1
    UNION ALL
    SELECT 'dim_fy_began' AS dimension, count(*) AS members FROM gold.dim_fy_began WHERE fy_began = 'N/A'
    UNION ALL
    SELECT 'dim_fy_completed' AS dimension, count(*) AS members FROM gold.dim_fy_completed WHERE fy_completed = 'N/A'
    UNION ALL
    SELECT 'dim_date_completed' AS dimension, count(*) AS members FROM gold.dim_date_completed WHERE completed_date = DATE '1900-01-01'
)

SELECT
    dimension,
    members
FROM members
WHERE members <> 1
