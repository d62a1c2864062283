-- Which keys spent most, and what share of everything is that?
SELECT
    organization_id,
    key_id,
    sum(request_count) AS requests,
    sum(usage_costs_daily.cost_usd) AS cost_usd,
    round(100 * toFloat64(cost_usd) / sum(toFloat64(cost_usd)) OVER (), 1) AS percent_of_all
FROM usage_costs_daily
WHERE day >= {since:Date} AND day < {until:Date}
GROUP BY organization_id, key_id
ORDER BY cost_usd DESC, key_id
LIMIT 20
