WITH days AS (
    SELECT CAST(unnest(generate_series(DATE '2011-01-01', $as_of, INTERVAL '1 day')) AS DATE) AS day
)

SELECT
    day AS completed_date,
    day AS clean_completed_date
FROM days
UNION ALL
SELECT
    DATE '1900-01-01' AS completed_date,
    CAST(NULL AS DATE) AS clean_completed_date
