SELECT
    course_id,
    max(course_name) AS course_name,
    max(course_category) AS course_category,
    max(include_in_dashboard) AS include_in_dashboard
FROM silver.course_completions
GROUP BY course_id
