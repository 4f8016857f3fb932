WITH progress AS (
    -- The dimension has the program completions row by row, and the rule for learners who were taken off.
    SELECT
        program_user_id,
        program_id,
        user_id,
        CAST(time_assigned AS DATE) AS date_assigned,
        CAST(time_completed AS DATE) AS date_completed
    FROM gold.dim_program_progress
    WHERE program_user_id <> -1
),

due_dates AS (
    -- The overview repeats the due date per course of the program.
    SELECT
        program_id,
        user_id,
        CAST(max(due_date) AS DATE) AS due_date
    FROM silver.prog_overview
    GROUP BY program_id, user_id
)

SELECT
    progress.user_id,
    progress.program_id,
    progress.program_user_id,
    progress.date_assigned AS date_began,
    due_dates.due_date,
    progress.date_completed,
    CASE WHEN progress.date_completed IS NULL AND due_dates.due_date < $as_of THEN 1 ELSE 0 END AS is_overdue,
    CAST(progress.date_completed AS INT) - CAST(progress.date_assigned AS INT) AS days_difference
FROM progress
LEFT JOIN due_dates
    ON due_dates.program_id = progress.program_id
    AND due_dates.user_id = progress.user_id
