-- description: a person is one thing on each day: versions do not overlap, and one of them at most is current
SELECT
    user_id,
    valid_from,
    valid_to,
    next_from
FROM (
    SELECT
        user_id,
        valid_from,
        valid_to,
        lead(valid_from) OVER (PARTITION BY user_id ORDER BY valid_from) AS next_from
    FROM gold.dim_user_history
) AS versions
WHERE next_from < coalesce(valid_to, DATE '9999-12-31')
