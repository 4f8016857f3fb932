SELECT
    audience_id,
    user_id,
    status
FROM silver.audiences
