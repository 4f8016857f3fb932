-- description: the current versions of the history are the people of dim_user
SELECT
    people.user_id AS user_id,
    current_versions.user_id AS user_id_in_history
FROM gold.dim_user AS people
FULL JOIN (SELECT user_id FROM gold.dim_user_history WHERE is_current) AS current_versions
    ON current_versions.user_id = people.user_id
WHERE people.user_id IS NULL OR current_versions.user_id IS NULL
