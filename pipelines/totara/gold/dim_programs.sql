SELECT
    program_id,
    program_name,
    category,
    include_in_dashboard
FROM silver.programs
