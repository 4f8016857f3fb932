-- Stands on the fact, so that both tell of the same learners and days.
SELECT
    user_id,
    program_id,
    program_user_id,
    date_began,
    -- The fact's 1900-01-01 becomes missing again for the status.
    nullif(date_completed, DATE '1900-01-01') AS date_completed
FROM gold.fact_program_progress
