SELECT
    attendance.user_id,
    attendance.course_id,
    enrolments.course_user_id,
    attendance.event_id,
    attendance.session_id,
    -- Before the session nobody has attended: what they signed up for says more then.
    CASE
        WHEN attendance.session_attendance = 'Not set' AND attendance.signup_status IS NOT NULL
            THEN attendance.signup_status
        ELSE attendance.session_attendance
    END AS attendance_status,
    attendance.session_attendance,
    CAST(attendance.session_start AS DATE) AS date_began,
    CAST(attendance.session_finish AS DATE) AS date_completed,
    attendance.session_duration AS duration_minutes,
    CAST(date_part('epoch', attendance.session_finish - attendance.session_start) AS BIGINT) / 60
        AS time_spent_minutes
FROM silver.seminar_attendance AS attendance
-- Only a learner who is enrolled has a progress row to lead to.
LEFT JOIN gold.dim_course_progress AS enrolments
    ON enrolments.course_user_id = attendance.course_id * 4294967296 + attendance.user_id
