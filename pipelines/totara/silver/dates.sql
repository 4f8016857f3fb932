WITH workbook AS (
    SELECT
        coalesce(try_cast(left(date, 10) AS DATE), try_cast(date_num AS DATE)) AS date,
        try_cast(date_num AS BIGINT) AS date_num,
        try_cast(year_month_num AS BIGINT) AS year_month_num,
        nullif(calendar_quarter, '') AS calendar_quarter,
        try_cast(month_num AS BIGINT) AS month_num,
        nullif(month_name, '') AS month_name,
        nullif(month_short_name, '') AS month_short_name,
        try_cast(week_num AS BIGINT) AS week_num,
        try_cast(day_num_of_year AS BIGINT) AS day_num_of_year,
        try_cast(day_num_of_month AS BIGINT) AS day_num_of_month,
        try_cast(day_num_of_week AS BIGINT) AS day_num_of_week,
        nullif(day_name, '') AS day_name,
        nullif(day_short_name, '') AS day_short_name,
        try_cast(quarter AS BIGINT) AS quarter,
        try_cast(year_quarter_num AS BIGINT) AS year_quarter_num,
        try_cast(day_num_of_quarter AS BIGINT) AS day_num_of_quarter,
        _source_file,
        _source_row
    FROM bronze.dimdates
),

workbook_days AS (
    SELECT * EXCLUDE (_source_file, _source_row)
    FROM workbook
    WHERE date IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY date ORDER BY _source_file DESC, _source_row DESC) = 1
),

-- Generated only where the workbook has no day: one row if so, none otherwise, before anything is computed from it.
no_workbook AS (
    SELECT DATE '1991-01-01' AS first_day, DATE '2040-01-01' AS end_day
    FROM (SELECT count(date) AS days FROM workbook)
    WHERE days = 0
),

calendar AS (
    SELECT unnest(range(first_day, end_day, INTERVAL '1' DAY)) AS date
    FROM no_workbook
),

calendar_parts AS (
    SELECT
        date,
        CAST(date_part('year', date) AS BIGINT) AS year_num,
        CAST(date_part('quarter', date) AS BIGINT) AS quarter,
        CAST(date_part('month', date) AS BIGINT) AS month_num,
        CAST(date_part('day', date) AS BIGINT) AS day_num_of_month,
        CAST(date_part('doy', date) AS BIGINT) AS day_num_of_year,
        CAST(date_part('doy', date_trunc('quarter', date)) AS BIGINT) AS first_day_of_quarter
    FROM calendar
),

calendar_days AS (
    SELECT
        date,
        year_num * 10000 + month_num * 100 + day_num_of_month AS date_num,
        year_num * 100 + month_num AS year_month_num,
        concat('Qtr ', quarter) AS calendar_quarter,
        month_num,
        to_char(date, '%B') AS month_name,
        to_char(date, '%b') AS month_short_name,
        CAST(date_part('week', date) AS BIGINT) AS week_num,
        day_num_of_year,
        day_num_of_month,
        CAST(date_part('dow', date) AS BIGINT) + 1 AS day_num_of_week,
        to_char(date, '%A') AS day_name,
        to_char(date, '%a') AS day_short_name,
        quarter,
        year_num * 10 + quarter AS year_quarter_num,
        day_num_of_year - first_day_of_quarter + 1 AS day_num_of_quarter
    FROM calendar_parts
),

missing_date AS (
    SELECT DISTINCT
        DATE '1900-01-01' AS date,
        CAST(19000101 AS BIGINT) AS date_num
    FROM bronze.null_dates
    WHERE NOT EXISTS (SELECT 1 FROM workbook_days WHERE date = DATE '1900-01-01')
)

SELECT * FROM workbook_days
UNION ALL
SELECT * FROM calendar_days
UNION ALL
SELECT
    date,
    date_num,
    NULL AS year_month_num,
    NULL AS calendar_quarter,
    NULL AS month_num,
    NULL AS month_name,
    NULL AS month_short_name,
    NULL AS week_num,
    NULL AS day_num_of_year,
    NULL AS day_num_of_month,
    NULL AS day_num_of_week,
    NULL AS day_name,
    NULL AS day_short_name,
    NULL AS quarter,
    NULL AS year_quarter_num,
    NULL AS day_num_of_quarter
FROM missing_date
