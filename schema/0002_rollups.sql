-- Sums over usage_events by hour, and over those by day, kept up by each insert and counted once with it.
--
-- Narrow on purpose: each key column multiplies the rows, and a rollup pays from about ten events a row on. Those that are here
-- mostly follow from each other: a model has its provider and endpoint, a success its status.
-- Adjustments add to cost and to nothing else. Percentiles are kept as counts of values cut to 8 bits of precision, so they are
-- the same whatever was merged in which order, and the same as over the rows.
CREATE TABLE IF NOT EXISTS {database}.usage_hourly{local}{on_cluster}
(
    hour                    DateTime('UTC') COMMENT 'start of the hour' CODEC(Delta(4), ZSTD(1)),
    organization_id         LowCardinality(String) COMMENT 'tenant; empty when no key was recognised',
    environment             LowCardinality(String) COMMENT 'live or test',
    provider                LowCardinality(String) COMMENT 'provider that was asked for',
    endpoint                LowCardinality(String) COMMENT 'endpoint of the dialect',
    model                   LowCardinality(String) COMMENT 'model that served, or that was asked for when none did',
    key_id                  LowCardinality(String) COMMENT 'gateway key, by its public id',
    status                  UInt16 COMMENT 'HTTP status that the caller got; 0 when it went before any',
    error_type              LowCardinality(String) COMMENT 'empty for success',
    hot_tags                Map(LowCardinality(String), String) COMMENT 'the tags that were hot when the rows came in',
    requests                SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges',
    errors                  SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges with an error_type',
    unpriced_requests       SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges with usage that no price was found for, when they were stored',
    priced_later            SimpleAggregateFunction(sum, UInt64) COMMENT 'how many of unpriced_requests a later adjustment priced',
    input_tokens            SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of input_tokens',
    cached_input_tokens     SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of cached_input_tokens',
    cache_write_5m_tokens   SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of cache_write_5m_tokens',
    cache_write_1h_tokens   SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of cache_write_1h_tokens',
    output_tokens           SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of output_tokens',
    reasoning_tokens        SimpleAggregateFunction(sum, UInt64) COMMENT 'part of output_tokens: do not add it to a sum',
    audio_input_tokens      SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of audio_input_tokens',
    audio_output_tokens     SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of audio_output_tokens',
    image_input_tokens      SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of image_input_tokens',
    image_output_tokens     SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of image_output_tokens',
    unit_images             SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_images',
    unit_millis             SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_millis',
    unit_characters         SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_characters',
    unit_searches           SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_searches',
    unit_requests           SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_requests',
    cost_nanousd            SimpleAggregateFunction(sum, Int64) COMMENT 'cost in 1e-9 USD, adjustments included',
    latency_ms_quantiles    AggregateFunction(quantilesBFloat16(0.5, 0.95, 0.99), UInt32) COMMENT 'latency_ms of exchanges; quantilesBFloat16Merge reads it' CODEC(ZSTD(1)),
    ttft_ms_quantiles       AggregateFunction(quantilesBFloat16(0.5, 0.95, 0.99), UInt32) COMMENT 'ttft_ms of exchanges that had a first byte' CODEC(ZSTD(1))
)
ENGINE = {sharded:AggregatingMergeTree}
PARTITION BY toYYYYMM(hour)
PRIMARY KEY (organization_id, hour)
ORDER BY (organization_id, hour, environment, provider, endpoint, model, key_id, status, error_type, hot_tags)
TTL hour + toIntervalDay({keep_days})
SETTINGS {window}, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Usage by hour; kept as long as the events.';

{in_cluster} CREATE TABLE IF NOT EXISTS {database}.usage_hourly{on_cluster} AS {database}.usage_hourly_local
ENGINE = Distributed({cluster}, '{database}', 'usage_hourly_local')
COMMENT 'All shards; to be read.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_hourly_mv{on_cluster} TO {database}.usage_hourly{local} AS
SELECT
    toStartOfHour(time) AS hour,
    organization_id,
    environment,
    provider,
    endpoint,
    model,
    key_id,
    status,
    error_type,
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
    quantilesBFloat16StateIf(0.5, 0.95, 0.99)(latency_ms, kind = 'exchange') AS latency_ms_quantiles,
    quantilesBFloat16StateIf(0.5, 0.95, 0.99)(ttft_ms, kind = 'exchange' AND ttft_ms > 0) AS ttft_ms_quantiles
FROM {database}.usage_events{local}
GROUP BY hour, organization_id, environment, provider, endpoint, model, key_id, status, error_type, hot_tags;

CREATE TABLE IF NOT EXISTS {database}.usage_daily{local}{on_cluster}
(
    day                     Date COMMENT 'UTC day' CODEC(Delta(2), ZSTD(1)),
    organization_id         LowCardinality(String) COMMENT 'tenant; empty when no key was recognised',
    environment             LowCardinality(String) COMMENT 'live or test',
    provider                LowCardinality(String) COMMENT 'provider that was asked for',
    endpoint                LowCardinality(String) COMMENT 'endpoint of the dialect',
    model                   LowCardinality(String) COMMENT 'model that served, or that was asked for when none did',
    key_id                  LowCardinality(String) COMMENT 'gateway key, by its public id',
    status                  UInt16 COMMENT 'HTTP status that the caller got; 0 when it went before any',
    error_type              LowCardinality(String) COMMENT 'empty for success',
    hot_tags                Map(LowCardinality(String), String) COMMENT 'the tags that were hot when the rows came in',
    requests                SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges',
    errors                  SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges with an error_type',
    unpriced_requests       SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges with usage that no price was found for, when they were stored',
    priced_later            SimpleAggregateFunction(sum, UInt64) COMMENT 'how many of unpriced_requests a later adjustment priced',
    input_tokens            SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of input_tokens',
    cached_input_tokens     SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of cached_input_tokens',
    cache_write_5m_tokens   SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of cache_write_5m_tokens',
    cache_write_1h_tokens   SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of cache_write_1h_tokens',
    output_tokens           SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of output_tokens',
    reasoning_tokens        SimpleAggregateFunction(sum, UInt64) COMMENT 'part of output_tokens: do not add it to a sum',
    audio_input_tokens      SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of audio_input_tokens',
    audio_output_tokens     SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of audio_output_tokens',
    image_input_tokens      SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of image_input_tokens',
    image_output_tokens     SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of image_output_tokens',
    unit_images             SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_images',
    unit_millis             SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_millis',
    unit_characters         SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_characters',
    unit_searches           SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_searches',
    unit_requests           SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of unit_requests',
    cost_nanousd            SimpleAggregateFunction(sum, Int64) COMMENT 'cost in 1e-9 USD, adjustments included',
    latency_ms_quantiles    AggregateFunction(quantilesBFloat16(0.5, 0.95, 0.99), UInt32) COMMENT 'latency_ms of exchanges; quantilesBFloat16Merge reads it' CODEC(ZSTD(1)),
    ttft_ms_quantiles       AggregateFunction(quantilesBFloat16(0.5, 0.95, 0.99), UInt32) COMMENT 'ttft_ms of exchanges that had a first byte' CODEC(ZSTD(1))
)
ENGINE = {sharded:AggregatingMergeTree}
PARTITION BY toYear(day)
PRIMARY KEY (organization_id, day)
ORDER BY (organization_id, day, environment, provider, endpoint, model, key_id, status, error_type, hot_tags)
SETTINGS {window}, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Usage by UTC day; kept for good.';

{in_cluster} CREATE TABLE IF NOT EXISTS {database}.usage_daily{on_cluster} AS {database}.usage_daily_local
ENGINE = Distributed({cluster}, '{database}', 'usage_daily_local')
COMMENT 'All shards; to be read.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_daily_mv{on_cluster} TO {database}.usage_daily{local} AS
SELECT
    toDate(hour) AS day,
    organization_id,
    environment,
    provider,
    endpoint,
    model,
    key_id,
    status,
    error_type,
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
    quantilesBFloat16MergeState(0.5, 0.95, 0.99)(latency_ms_quantiles) AS latency_ms_quantiles,
    quantilesBFloat16MergeState(0.5, 0.95, 0.99)(ttft_ms_quantiles) AS ttft_ms_quantiles
FROM {database}.usage_hourly{local}
GROUP BY day, organization_id, environment, provider, endpoint, model, key_id, status, error_type, hot_tags;

-- Since when which tags stand in the rollups: the last row is what holds. Written when settings change them.
CREATE TABLE IF NOT EXISTS {database}.hot_tags{on_cluster}
(
    changed_at DateTime64(3, 'UTC') COMMENT 'rows from this moment on have these tags in hot_tags; 1970 when there were no rows before',
    tags       Array(String) COMMENT 'all hot tags from then on'
)
ENGINE = {everywhere:MergeTree}
ORDER BY changed_at
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Which tags were hot since when.';
