-- How much of the cost rests on estimates, because the provider reported nothing? Streams without usage, answers that were cut.
SELECT
    provider,
    endpoint,
    countIf(kind = 'exchange') AS requests,
    countIf(kind = 'exchange' AND usage_source = 'estimated') AS estimated_requests,
    sumIf(usage_requests.cost_usd, usage_source = 'estimated') AS estimated_usd,
    sum(usage_requests.cost_usd) AS cost_usd,
    round(100 * toFloat64(estimated_usd) / toFloat64(cost_usd), 1) AS percent_estimated
FROM usage_requests
WHERE time >= {since:Date} AND time < {until:Date} AND usage_source != 'none'
GROUP BY provider, endpoint
HAVING cost_usd > 0
ORDER BY percent_estimated DESC, provider, endpoint
