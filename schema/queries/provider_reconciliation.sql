-- Does a provider's invoice agree with us? Our figures in the shape of its usage export: by UTC day and model, class by class. Where
-- `estimated_requests` is not 0, the provider told us less than it counted, and that many requests explain a difference.
SELECT
    toDate(time) AS day,
    model,
    countIf(kind = 'exchange') AS requests,
    countIf(kind = 'exchange' AND usage_source = 'estimated') AS estimated_requests,
    sum(usage_requests.input_tokens) AS input,
    sum(usage_requests.cached_input_tokens) AS cached,
    sum(usage_requests.cache_write_tokens) AS cache_writes,
    sum(usage_requests.output_tokens) AS output,
    sumIf(usage_requests.cost_usd, kind = 'exchange') AS cost_usd_at_first,
    sumIf(usage_requests.cost_usd, kind = 'adjustment') AS adjustments_usd,
    sum(usage_requests.cost_usd) AS cost_usd
FROM usage_requests
WHERE provider = {provider:String} AND time >= {since:Date} AND time < {until:Date} AND usage_source != 'none'
GROUP BY day, model
ORDER BY day, model
