WITH assigned_pairs AS (
    -- The overview lists who is assigned now, once per course of the certification.
    SELECT DISTINCT
        certification_id,
        user_id
    FROM silver.cert_overview
),

progress AS (
    SELECT
        completions.certification_id,
        completions.user_id,
        completions.status,
        completions.time_assigned,
        completions.time_started,
        completions.time_completed,
        completions.certification_name,
        completions.include_in_dashboard,
        assigned_pairs.certification_id IS NOT NULL AS is_assigned
    FROM silver.cert_completions AS completions
    LEFT JOIN assigned_pairs
        ON assigned_pairs.certification_id = completions.certification_id
        AND assigned_pairs.user_id = completions.user_id
)

SELECT
    certification_id * 4294967296 + user_id AS certification_user_id,
    certification_id,
    user_id,
    status,
    time_assigned,
    -- Whoever was taken off a certification will never complete it: without an end it would stay open for ever.
    -- One that expired stays open, because it lacks a renewal. A missing status is not Expired.
    CASE
        WHEN time_completed IS NULL AND NOT is_assigned AND status IS DISTINCT FROM 'Expired' THEN time_assigned
        ELSE time_completed
    END AS time_completed,
    time_started,
    certification_name,
    include_in_dashboard,
    CASE WHEN is_assigned THEN 'Assigned' ELSE 'Unassigned' END AS assignment_status
FROM progress
