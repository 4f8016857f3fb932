-- The export repeats the session on each attendance row; where they differ the maximum per column counts.
SELECT
    session_id,
    max(event_id) AS event_id,
    max(session_start) AS session_start,
    max(session_finish) AS session_finish,
    max(session_duration) AS total_duration_minutes
FROM silver.seminar_attendance
WHERE session_id IS NOT NULL
GROUP BY session_id
