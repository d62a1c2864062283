-- What finance reads: whole days, amounts in USD as exact decimals.
CREATE VIEW IF NOT EXISTS {database}.usage_costs_daily AS
SELECT
    day,
    organization_id,
    environment,
    provider,
    model,
    key_id,
    hot_tags,
    sum(requests) AS request_count,
    sum(errors) AS error_count,
    sum(unpriced_requests) AS unpriced_request_count,
    toDecimal128(sum(cost_nanousd), 9) / 1000000000 AS cost_usd
FROM {database}.usage_daily
GROUP BY day, organization_id, environment, provider, model, key_id, hot_tags;
