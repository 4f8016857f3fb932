WITH relationships AS (
    -- Silver has a row per job assignment that attains the shortest way; they agree in everything else.
    SELECT DISTINCT
        manager_id,
        employee_id,
        relationship_type,
        depth
    FROM silver.user_hierarchy
),

managed_users AS (
    -- One job assignment with a manager is enough, and whoever manages themself has a manager too.
    SELECT DISTINCT user_id
    FROM silver.user_assignments
    WHERE manager_id IS NOT NULL
),

unmanaged_users AS (
    SELECT users.user_id
    FROM silver.users AS users
    LEFT ANTI JOIN managed_users
        ON managed_users.user_id = users.user_id
)

SELECT
    manager_id,
    employee_id,
    relationship_type,
    depth
FROM relationships
UNION ALL
-- Employees without a manager report to the unknown one, so that a filter by manager can show them.
SELECT
    CAST(-1 AS BIGINT) AS manager_id,
    user_id AS employee_id,
    'direct' AS relationship_type,
    CAST(1 AS BIGINT) AS depth
FROM unmanaged_users
