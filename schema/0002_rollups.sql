-- Sums over usage_events by hour, and over those by day, kept up by each insert and counted once with it.
--
-- Narrow on purpose: each key column multiplies the rows, and a rollup pays from about ten events a row on.
-- Adjustments add to cost and to nothing else.
CREATE TABLE IF NOT EXISTS {database}.usage_hourly
(
    hour                    DateTime('UTC') COMMENT 'start of the hour' CODEC(Delta(4), ZSTD(1)),
    organization_id         LowCardinality(String),
    environment             LowCardinality(String),
    provider                LowCardinality(String),
    model                   LowCardinality(String),
    key_id                  LowCardinality(String),
    status_class            UInt8 COMMENT 'status / 100',
    hot_tags                Map(LowCardinality(String), String) COMMENT 'the tags that were hot when the rows came in',
    requests                SimpleAggregateFunction(sum, UInt64),
    errors                  SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges with an error_type',
    unpriced_requests       SimpleAggregateFunction(sum, UInt64),
    input_tokens            SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens     SimpleAggregateFunction(sum, UInt64),
    cache_write_5m_tokens   SimpleAggregateFunction(sum, UInt64),
    cache_write_1h_tokens   SimpleAggregateFunction(sum, UInt64),
    output_tokens           SimpleAggregateFunction(sum, UInt64),
    reasoning_tokens        SimpleAggregateFunction(sum, UInt64),
    audio_input_tokens      SimpleAggregateFunction(sum, UInt64),
    audio_output_tokens     SimpleAggregateFunction(sum, UInt64),
    image_input_tokens      SimpleAggregateFunction(sum, UInt64),
    image_output_tokens     SimpleAggregateFunction(sum, UInt64),
    unit_images             SimpleAggregateFunction(sum, UInt64),
    unit_millis             SimpleAggregateFunction(sum, UInt64),
    unit_characters         SimpleAggregateFunction(sum, UInt64),
    unit_searches           SimpleAggregateFunction(sum, UInt64),
    unit_requests           SimpleAggregateFunction(sum, UInt64),
    cost_nanousd            SimpleAggregateFunction(sum, Int64),
    latency_ms_sum          SimpleAggregateFunction(sum, UInt64),
    latency_ms_max          SimpleAggregateFunction(max, UInt32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (organization_id, hour, environment, provider, model, key_id, status_class, hot_tags)
TTL hour + toIntervalDay({keep_days})
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Usage by hour; kept as long as the events.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_hourly_mv TO {database}.usage_hourly AS
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
    sumIf(latency_ms, kind = 'exchange') AS latency_ms_sum,
    maxIf(latency_ms, kind = 'exchange') AS latency_ms_max
FROM {database}.usage_events
GROUP BY hour, organization_id, environment, provider, model, key_id, status_class, hot_tags;

CREATE TABLE IF NOT EXISTS {database}.usage_daily
(
    day                     Date COMMENT 'UTC day' CODEC(Delta(2), ZSTD(1)),
    organization_id         LowCardinality(String),
    environment             LowCardinality(String),
    provider                LowCardinality(String),
    model                   LowCardinality(String),
    key_id                  LowCardinality(String),
    status_class            UInt8 COMMENT 'status / 100',
    hot_tags                Map(LowCardinality(String), String) COMMENT 'the tags that were hot when the rows came in',
    requests                SimpleAggregateFunction(sum, UInt64),
    errors                  SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges with an error_type',
    unpriced_requests       SimpleAggregateFunction(sum, UInt64),
    input_tokens            SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens     SimpleAggregateFunction(sum, UInt64),
    cache_write_5m_tokens   SimpleAggregateFunction(sum, UInt64),
    cache_write_1h_tokens   SimpleAggregateFunction(sum, UInt64),
    output_tokens           SimpleAggregateFunction(sum, UInt64),
    reasoning_tokens        SimpleAggregateFunction(sum, UInt64),
    audio_input_tokens      SimpleAggregateFunction(sum, UInt64),
    audio_output_tokens     SimpleAggregateFunction(sum, UInt64),
    image_input_tokens      SimpleAggregateFunction(sum, UInt64),
    image_output_tokens     SimpleAggregateFunction(sum, UInt64),
    unit_images             SimpleAggregateFunction(sum, UInt64),
    unit_millis             SimpleAggregateFunction(sum, UInt64),
    unit_characters         SimpleAggregateFunction(sum, UInt64),
    unit_searches           SimpleAggregateFunction(sum, UInt64),
    unit_requests           SimpleAggregateFunction(sum, UInt64),
    cost_nanousd            SimpleAggregateFunction(sum, Int64),
    latency_ms_sum          SimpleAggregateFunction(sum, UInt64),
    latency_ms_max          SimpleAggregateFunction(max, UInt32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(day)
ORDER BY (organization_id, day, environment, provider, model, key_id, status_class, hot_tags)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Usage by UTC day; kept for good.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_daily_mv TO {database}.usage_daily AS
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
