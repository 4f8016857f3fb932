-- The export repeats the event on each attendance row; where they differ the maximum per column counts.
SELECT
    event_id,
    max(course_id) AS course_id,
    max(seminar_name) AS seminar_name
FROM silver.seminar_attendance
WHERE event_id IS NOT NULL
GROUP BY event_id
