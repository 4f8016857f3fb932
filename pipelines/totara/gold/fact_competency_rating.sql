SELECT
    user_id,
    competency_id,
    rating,
    time_rated,
    CAST(time_rated AS DATE) AS date_rated
FROM silver.competency_ratings
