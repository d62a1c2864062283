-- Which keys were used when last, and how often in vain? Keys that nobody uses can be revoked; a key that is mostly refused is
-- perhaps in the wrong place.
SELECT
    organization_id,
    key_id,
    any(key_prefix) AS prefix,
    max(time) AS last_seen,
    count() AS requests,
    countIf(error_type IN ('unauthorized', 'forbidden', 'rate_limited', 'budget_exceeded')) AS refused
FROM usage_requests
WHERE time >= {since:Date} AND time < {until:Date} AND kind = 'exchange' AND key_id != ''
GROUP BY organization_id, key_id
ORDER BY last_seen, key_id
