-- What did the gateway itself refuse, and to whom?
SELECT
    organization_id,
    error_type,
    status,
    sum(request_count) AS requests,
    max(day) AS last_day
FROM usage_outcomes_daily
WHERE day >= {since:Date} AND day < {until:Date}
    AND error_type IN ('bad_request', 'unauthorized', 'forbidden', 'not_found', 'payload_too_large', 'rate_limited', 'budget_exceeded', 'unavailable')
GROUP BY organization_id, error_type, status
ORDER BY requests DESC, organization_id, error_type
