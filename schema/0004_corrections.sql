-- What corrections of cost need. Repricing reads the service tier. An adjustment names the batch that it came in, so that a
-- batch that was broken off can be found and finished; and it says whether it priced an exchange that had no price, which
-- is then not counted as unpriced any longer. An adjustment's own counts of tokens and units are 0.
-- The new columns have defaults: the program before this one goes on inserting without them.
ALTER TABLE {database}.usage_events
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String) DEFAULT ''
    COMMENT 'service tier that the answer reported, such as flex; it chooses among the prices' AFTER usage_source;

ALTER TABLE {database}.usage_events
    ADD COLUMN IF NOT EXISTS correction_id String DEFAULT ''
    COMMENT 'batch that an adjustment came in; empty for an exchange' CODEC(ZSTD(1)) AFTER price_version;

ALTER TABLE {database}.usage_events
    ADD COLUMN IF NOT EXISTS priced_later Bool DEFAULT false
    COMMENT 'an adjustment that priced an exchange which had no price' AFTER correction_id;

ALTER TABLE {database}.usage_events
    COMMENT COLUMN kind 'exchange: one per request id; adjustment: a later correction of its cost, with the exchange''s own time and dimensions, and no counts';

ALTER TABLE {database}.usage_events
    COMMENT COLUMN cost_breakdown_nanousd 'the cost by class of tokens and units; an adjustment''s signed differences';

ALTER TABLE {database}.usage_hourly
    ADD COLUMN IF NOT EXISTS priced_later SimpleAggregateFunction(sum, UInt64)
    COMMENT 'how many of unpriced_requests a later adjustment priced';

ALTER TABLE {database}.usage_daily
    ADD COLUMN IF NOT EXISTS priced_later SimpleAggregateFunction(sum, UInt64)
    COMMENT 'how many of unpriced_requests a later adjustment priced';

ALTER TABLE {database}.usage_hourly_mv MODIFY QUERY
SELECT
    toStartOfHour(time) AS hour,
    organization_id,
    environment,
    provider,
    model,
    key_id,
    toUInt8(intDiv(status, 100)) AS status_class,
    hot_tags,
    countIf(kind = 'exchange') AS requests,
    countIf(kind = 'exchange' AND error_type != '') AS errors,
    countIf(unpriced) AS unpriced_requests,
    countIf(priced_later) AS priced_later,
    sumIf(input_tokens, kind = 'exchange') AS input_tokens,
    sumIf(cached_input_tokens, kind = 'exchange') AS cached_input_tokens,
    sumIf(cache_write_5m_tokens, kind = 'exchange') AS cache_write_5m_tokens,
    sumIf(cache_write_1h_tokens, kind = 'exchange') AS cache_write_1h_tokens,
    sumIf(output_tokens, kind = 'exchange') AS output_tokens,
    sumIf(reasoning_tokens, kind = 'exchange') AS reasoning_tokens,
    sumIf(audio_input_tokens, kind = 'exchange') AS audio_input_tokens,
    sumIf(audio_output_tokens, kind = 'exchange') AS audio_output_tokens,
    sumIf(image_input_tokens, kind = 'exchange') AS image_input_tokens,
    sumIf(image_output_tokens, kind = 'exchange') AS image_output_tokens,
    sumIf(unit_images, kind = 'exchange') AS unit_images,
    sumIf(unit_millis, kind = 'exchange') AS unit_millis,
    sumIf(unit_characters, kind = 'exchange') AS unit_characters,
    sumIf(unit_searches, kind = 'exchange') AS unit_searches,
    sumIf(unit_requests, kind = 'exchange') AS unit_requests,
    sum(cost_nanousd) AS cost_nanousd,
    sumIf(latency_ms, kind = 'exchange') AS latency_ms_sum,
    maxIf(latency_ms, kind = 'exchange') AS latency_ms_max
FROM {database}.usage_events
GROUP BY hour, organization_id, environment, provider, model, key_id, status_class, hot_tags;

ALTER TABLE {database}.usage_daily_mv MODIFY QUERY
SELECT
    toDate(hour) AS day,
    organization_id,
    environment,
    provider,
    model,
    key_id,
    status_class,
    hot_tags,
    sum(requests) AS requests,
    sum(errors) AS errors,
    sum(unpriced_requests) AS unpriced_requests,
    sum(priced_later) AS priced_later,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_input_tokens,
    sum(cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens,
    sum(audio_input_tokens) AS audio_input_tokens,
    sum(audio_output_tokens) AS audio_output_tokens,
    sum(image_input_tokens) AS image_input_tokens,
    sum(image_output_tokens) AS image_output_tokens,
    sum(unit_images) AS unit_images,
    sum(unit_millis) AS unit_millis,
    sum(unit_characters) AS unit_characters,
    sum(unit_searches) AS unit_searches,
    sum(unit_requests) AS unit_requests,
    sum(cost_nanousd) AS cost_nanousd,
    sum(latency_ms_sum) AS latency_ms_sum,
    max(latency_ms_max) AS latency_ms_max
FROM {database}.usage_hourly
GROUP BY day, organization_id, environment, provider, model, key_id, status_class, hot_tags;

CREATE OR REPLACE VIEW {database}.usage_costs_daily AS
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
    sum(unpriced_requests) - sum(priced_later) AS unpriced_request_count,
    toDecimal128(sum(cost_nanousd), 9) / 1000000000 AS cost_usd
FROM {database}.usage_daily
GROUP BY day, organization_id, environment, provider, model, key_id, hot_tags;

CREATE TABLE IF NOT EXISTS {database}.usage_corrections
(
    correction_id String COMMENT 'batch of adjustments, all of one hour',
    hour          DateTime('UTC') COMMENT 'hour of their exchanges',
    stored_at     DateTime64(3, 'UTC') COMMENT 'when it stood in the rows and in all sums',
    reason        LowCardinality(String) COMMENT 'why it was made',
    adjustments   UInt64 COMMENT 'how many there are in it',
    cost_nanousd  Int64 COMMENT 'the sum of their differences'
)
ENGINE = MergeTree
ORDER BY (hour, correction_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Batches of adjustments that are wholly stored. A batch may stand here twice.';
