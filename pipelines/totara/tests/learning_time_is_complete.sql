-- description: learning time has the rows of its two facts, none more and none less
WITH parts AS (
    SELECT
        'eLearning' AS learning_type,
        count(*) AS number_of_rows
    FROM gold.fact_scorm
    UNION ALL
    SELECT
        'IRL' AS learning_type,
        count(*) AS number_of_rows
    FROM gold.fact_seminar_signup
),

whole AS (
    SELECT
        learning_type,
        count(*) AS number_of_rows
    FROM gold.fact_learning_time
    GROUP BY learning_type
)

SELECT
    parts.learning_type,
    parts.number_of_rows AS expected,
    coalesce(whole.number_of_rows, 0) AS found
FROM parts
LEFT JOIN whole
    ON whole.learning_type = parts.learning_type
WHERE parts.number_of_rows <> coalesce(whole.number_of_rows, 0)
