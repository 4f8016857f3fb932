SELECT
    organisation_id,
    name AS organisation_name,
    -- The export says 0 where there is no parent.
    nullif(parent_id, 0) AS parent_organisation_id,
    framework,
    organisation_path,
    organisation_depth_level AS depth_level
FROM silver.organisations
