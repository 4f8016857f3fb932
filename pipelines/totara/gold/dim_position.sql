SELECT
    position_id,
    position_name,
    -- The export says 0 where there is no parent.
    nullif(position_parent_id, 0) AS parent_position_id,
    framework_name AS framework,
    position_path,
    position_depth_level AS depth_level
FROM silver.positions
