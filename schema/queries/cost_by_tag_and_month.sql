-- What did each team (or project, or any other tag) cost, month by month?
-- `tag` names the tag; requests without it stand under an empty text.
SELECT
    toStartOfMonth(time) AS month,
    organization_id,
    tags[{tag:String}] AS tag_value,
    countIf(kind = 'exchange') AS requests,
    sum(cost_usd) AS cost_usd
FROM usage_requests
WHERE time >= {since:Date} AND time < {until:Date} AND environment = 'live'
GROUP BY month, organization_id, tag_value
ORDER BY month, cost_usd DESC, organization_id, tag_value
