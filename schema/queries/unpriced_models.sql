-- Which models were used without a price? Each line is a row that is missing in conf/prices.yaml; `reprice` corrects the past.
SELECT
    provider,
    model,
    sum(unpriced_request_count) AS unpriced_requests,
    sum(usage_costs_daily.input_tokens) AS input,
    sum(usage_costs_daily.output_tokens) AS output,
    min(day) AS first_day,
    max(day) AS last_day
FROM usage_costs_daily
WHERE day >= {since:Date} AND day < {until:Date}
GROUP BY provider, model
HAVING unpriced_requests > 0
ORDER BY unpriced_requests DESC, model
