-- The id is a hash of the title, so one id never has two titles.
SELECT DISTINCT
    scorm_id,
    scorm_title
FROM silver.scorm
WHERE scorm_id IS NOT NULL
