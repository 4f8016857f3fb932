WITH assigned_pairs AS (
    -- The overview lists who is assigned now, once per course of the program.
    SELECT DISTINCT
        program_id,
        user_id
    FROM silver.prog_overview
),

progress AS (
    SELECT
        completions.program_id,
        completions.user_id,
        completions.status,
        completions.time_assigned,
        completions.time_started,
        completions.time_completed,
        assigned_pairs.program_id IS NOT NULL AS is_assigned
    FROM silver.prog_completions AS completions
    LEFT JOIN assigned_pairs
        ON assigned_pairs.program_id = completions.program_id
        AND assigned_pairs.user_id = completions.user_id
)

SELECT
    program_id * 4294967296 + user_id AS program_user_id,
    program_id,
    user_id,
    status,
    time_assigned,
    -- Whoever was taken off a program unfinished will never finish it: without an end it would stay open for ever.
    CASE
        WHEN time_completed IS NULL AND NOT is_assigned THEN time_assigned
        ELSE time_completed
    END AS time_completed,
    time_started,
    CASE WHEN is_assigned THEN 'Assigned' ELSE 'Unassigned' END AS assignment_status
FROM progress
