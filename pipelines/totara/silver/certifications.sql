SELECT
    certification_id,
    max(certification_name) AS certification_name,
    max(certification_category) AS certification_category,
    max(include_in_dashboard) AS include_in_dashboard
FROM silver.cert_completions
GROUP BY certification_id
