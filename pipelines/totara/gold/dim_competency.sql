SELECT
    competency_id,
    max(competency_name) AS competency_name
FROM silver.competency_ratings
GROUP BY competency_id
