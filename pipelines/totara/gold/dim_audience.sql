SELECT
    audience_id,
    max(audience_name) AS audience_name,
    count(DISTINCT user_id) AS member_count
FROM silver.audiences
GROUP BY audience_id
