SELECT
    certification_id AS cert_id,
    certification_name,
    certification_category,
    include_in_dashboard
FROM silver.certifications
