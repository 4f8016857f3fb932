WITH managers AS (
    SELECT DISTINCT manager_id
    FROM silver.user_hierarchy
)

SELECT
    managers.manager_id,
    -- The name of the user, not the manager name of some employee's row: that one may be stale or blank.
    users.full_name AS manager_name
FROM managers
LEFT JOIN silver.users AS users
    ON users.user_id = managers.manager_id
