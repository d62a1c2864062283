-- What people read: amounts in USD as exact decimals, counts that can be added up, no internal columns. `schema/analyst.sql`
-- makes a user that sees these views and nothing else.
CREATE OR REPLACE VIEW {database}.usage_costs_daily{on_cluster} AS
SELECT
    day,
    organization_id,
    environment,
    provider,
    endpoint,
    model,
    key_id,
    hot_tags AS tags,
    sum(requests) AS request_count,
    sum(errors) AS error_count,
    sum(unpriced_requests) - sum(priced_later) AS unpriced_request_count,
    sum(usage_daily.input_tokens) AS input_tokens,
    sum(usage_daily.cached_input_tokens) AS cached_input_tokens,
    sum(usage_daily.cache_write_5m_tokens) + sum(usage_daily.cache_write_1h_tokens) AS cache_write_tokens,
    sum(usage_daily.output_tokens) AS output_tokens,
    toDecimal128(sum(cost_nanousd), 9) / 1000000000 AS cost_usd
FROM {database}.usage_daily
GROUP BY day, organization_id, environment, provider, endpoint, model, key_id, hot_tags;

CREATE OR REPLACE VIEW {database}.usage_costs_monthly{on_cluster} AS
SELECT
    toStartOfMonth(day) AS month,
    organization_id,
    environment,
    provider,
    model,
    hot_tags AS tags,
    sum(requests) AS request_count,
    sum(errors) AS error_count,
    sum(unpriced_requests) - sum(priced_later) AS unpriced_request_count,
    toDecimal128(sum(cost_nanousd), 9) / 1000000000 AS cost_usd
FROM {database}.usage_daily
GROUP BY month, organization_id, environment, provider, model, hot_tags;

CREATE OR REPLACE VIEW {database}.usage_outcomes_daily{on_cluster} AS
SELECT
    day,
    organization_id,
    environment,
    provider,
    endpoint,
    model,
    status,
    error_type,
    sum(requests) AS request_count
FROM {database}.usage_daily
GROUP BY day, organization_id, environment, provider, endpoint, model, status, error_type;

CREATE OR REPLACE VIEW {database}.usage_latency_daily{on_cluster} AS
WITH
    quantilesBFloat16Merge(0.5, 0.95, 0.99)(latency_ms_quantiles) AS latency,
    quantilesBFloat16Merge(0.5, 0.95, 0.99)(ttft_ms_quantiles) AS ttft
SELECT
    day,
    organization_id,
    environment,
    provider,
    model,
    sum(requests) AS request_count,
    round(latency[1]) AS latency_ms_p50,
    round(latency[2]) AS latency_ms_p95,
    round(latency[3]) AS latency_ms_p99,
    round(ttft[1]) AS ttft_ms_p50,
    round(ttft[2]) AS ttft_ms_p95,
    round(ttft[3]) AS ttft_ms_p99
FROM {database}.usage_daily
GROUP BY day, organization_id, environment, provider, model;

CREATE OR REPLACE VIEW {database}.usage_adjustments{on_cluster} AS
SELECT
    toDate(time) AS day,
    toDate(recorded_at) AS made_on,
    reason,
    organization_id,
    environment,
    provider,
    model,
    count() AS adjustment_count,
    toDecimal128(sum(cost_nanousd), 9) / 1000000000 AS cost_usd
FROM {database}.usage_events
WHERE kind = 'adjustment'
GROUP BY day, made_on, reason, organization_id, environment, provider, model;

CREATE OR REPLACE VIEW {database}.usage_requests{on_cluster} AS
SELECT
    request_id,
    kind,
    reason,
    time,
    recorded_at,
    organization_id,
    key_id,
    key_prefix,
    environment,
    provider,
    endpoint,
    model,
    model_requested,
    status,
    error_type,
    streamed,
    latency_ms,
    ttft_ms,
    input_tokens,
    cached_input_tokens,
    cache_write_5m_tokens + cache_write_1h_tokens AS cache_write_tokens,
    output_tokens,
    reasoning_tokens,
    unit_images,
    unit_millis / 1000 AS unit_seconds,
    unit_characters,
    usage_source,
    unpriced,
    price_version,
    provider_request_id,
    tags,
    mapApply((class, nanos) -> (class, toDecimal128(nanos, 9) / 1000000000), cost_breakdown_nanousd) AS cost_breakdown_usd,
    toDecimal128(cost_nanousd, 9) / 1000000000 AS cost_usd
FROM {database}.usage_events;
