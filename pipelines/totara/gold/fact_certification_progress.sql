WITH progress AS (
    -- The dimension has the certification completions row by row, and the rule for learners who were taken off.
    SELECT
        certification_user_id,
        certification_id,
        user_id,
        status,
        CAST(time_assigned AS DATE) AS date_assigned,
        CAST(time_completed AS DATE) AS date_completed
    FROM gold.dim_certification_progress
    WHERE certification_user_id <> -1
)

SELECT
    progress.user_id,
    progress.certification_id AS cert_id,
    progress.certification_user_id,
    completions.time_expires,
    progress.status,
    coalesce(progress.date_assigned, progress.date_completed) AS date_began,
    progress.date_completed,
    CAST(progress.date_completed AS INT) - CAST(progress.date_assigned AS INT) AS days_difference
FROM progress
INNER JOIN silver.cert_completions AS completions
    ON completions.certification_id = progress.certification_id
    AND completions.user_id = progress.user_id
