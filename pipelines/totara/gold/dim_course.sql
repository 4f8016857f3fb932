WITH scorm_courses AS (
    SELECT
        course_id,
        max(course_name) AS course_name
    FROM silver.scorm
    WHERE course_id IS NOT NULL
    GROUP BY course_id
),

courses_known_from_scorm_alone AS (
    SELECT
        scorm_courses.course_id,
        scorm_courses.course_name
    FROM scorm_courses
    LEFT ANTI JOIN silver.courses AS courses
        ON courses.course_id = scorm_courses.course_id
)

SELECT
    course_id,
    course_name,
    course_category,
    include_in_dashboard
FROM silver.courses
UNION ALL
SELECT
    course_id,
    course_name,
    CAST(NULL AS VARCHAR) AS course_category,
    -- The SCORM export has no such flag; what is learned there is not to vanish from dashboards.
    CAST(1 AS BIGINT) AS include_in_dashboard
FROM courses_known_from_scorm_alone
