WITH days AS (
    SELECT CAST(unnest(generate_series(DATE '2011-01-01', $as_of, INTERVAL '1 day')) AS DATE) AS day
)

SELECT
    day AS date,
    CAST(date_part('year', day) * 10000 + date_part('month', day) * 100 + date_part('day', day) AS BIGINT) AS date_num
FROM days
