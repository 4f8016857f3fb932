SELECT
    program_id,
    max(program_name) AS program_name,
    max(category) AS category,
    max(include_in_dashboard) AS include_in_dashboard
FROM silver.prog_completions
GROUP BY program_id
