-- What does one request of a feature cost? `tag` is one of the hot tags of the configuration; these are in the sums by day.
SELECT
    tags[{tag:String}] AS tag_value,
    model,
    sum(request_count) AS requests,
    round(sum(usage_costs_daily.output_tokens) / requests, 1) AS output_per_request,
    sum(usage_costs_daily.cost_usd) AS cost_usd,
    round(cost_usd / requests, 9) AS cost_usd_per_request
FROM usage_costs_daily
WHERE day >= {since:Date} AND day < {until:Date} AND environment = 'live'
GROUP BY tag_value, model
HAVING requests > 0
ORDER BY cost_usd DESC, tag_value, model
