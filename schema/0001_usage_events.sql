-- One row for each exchange, and one for each later correction of its cost. Rows are never updated.
--
-- What stands in braces is filled in by usage/schema/template.rs, for one server or for a cluster. There, rows stand in
-- `usage_events_local` on the shard that the batch was sent to, and `usage_events` reads all shards. A statement ends with a
-- semicolon at the end of a line; one that begins with `{in_cluster}` is left out elsewhere.
-- The primary key stops at the hour: with `time` itself in it, ClickHouse would look at that and not at the hour, and read
-- ten times as much for one day of one organization.
-- fsync is on: an acknowledged insert survives a power cut. The window of deduplication tokens is far larger than the
-- number of inserts that can lie between a try and its retry.
CREATE TABLE IF NOT EXISTS {database}.usage_events{local}{on_cluster}
(
    kind                        LowCardinality(String) DEFAULT 'exchange'
                                COMMENT 'exchange: one per request id; adjustment: a later correction of its cost, with the exchange''s own time and dimensions, and no counts',
    reason                      LowCardinality(String)
                                COMMENT 'why an adjustment was made; empty for an exchange',
    request_id                  FixedString(26) COMMENT 'ULID, the X-Gateway-Request-Id of the answer' CODEC(ZSTD(1)),
    time                        DateTime64(3, 'UTC') COMMENT 'when the request arrived; an adjustment has the time of its exchange' CODEC(Delta(8), ZSTD(1)),
    recorded_at                 DateTime64(3, 'UTC') COMMENT 'when the exchange ended or the adjustment was made' CODEC(Delta(8), ZSTD(1)),
    organization_id             LowCardinality(String) COMMENT 'tenant; empty when no key was recognised',
    key_id                      LowCardinality(String) COMMENT 'gateway key, by its public id',
    key_prefix                  LowCardinality(String) COMMENT 'what may be shown of the gateway key',
    environment                 LowCardinality(String) COMMENT 'live or test',
    provider                    LowCardinality(String) COMMENT 'provider that was asked for',
    endpoint                    LowCardinality(String) COMMENT 'endpoint of the dialect, such as chat.completions',
    method                      LowCardinality(String) COMMENT 'HTTP method',
    model_requested             LowCardinality(String) COMMENT 'model as the caller named it',
    model_served                LowCardinality(String) COMMENT 'model as the provider named it; empty without an answer',
    status                      UInt16 COMMENT 'HTTP status that the caller got; 0 when it went before any' CODEC(T64, ZSTD(1)),
    error_type                  LowCardinality(String) COMMENT 'empty for success',
    streamed                    Bool COMMENT 'the answer was a stream',
    attempts                    UInt8 COMMENT 'tries at providers' CODEC(T64, ZSTD(1)),
    latency_ms                  UInt32 COMMENT 'from the request''s arrival to its end' CODEC(T64, ZSTD(1)),
    ttft_ms                     UInt32 COMMENT 'from the request''s arrival to the first byte of the answer''s body; 0 when there was none' CODEC(T64, ZSTD(1)),
    bytes_in                    UInt64 COMMENT 'body of the request' CODEC(T64, ZSTD(1)),
    bytes_out                   UInt64 COMMENT 'body of the answer' CODEC(T64, ZSTD(1)),
    input_tokens                UInt64 COMMENT 'text read at the full price: without the other input classes' CODEC(T64, ZSTD(1)),
    cached_input_tokens         UInt64 COMMENT 'input read from the provider''s cache' CODEC(T64, ZSTD(1)),
    cache_write_5m_tokens       UInt64 COMMENT 'cache writes that live up to 30 minutes' CODEC(T64, ZSTD(1)),
    cache_write_1h_tokens       UInt64 COMMENT 'cache writes that live longer' CODEC(T64, ZSTD(1)),
    output_tokens               UInt64 COMMENT 'all text written, reasoning included' CODEC(T64, ZSTD(1)),
    reasoning_tokens            UInt64 COMMENT 'how much of output_tokens was reasoning: do not add it to a sum' CODEC(T64, ZSTD(1)),
    audio_input_tokens          UInt64 COMMENT 'audio read' CODEC(T64, ZSTD(1)),
    audio_output_tokens         UInt64 COMMENT 'audio written' CODEC(T64, ZSTD(1)),
    image_input_tokens          UInt64 COMMENT 'images read' CODEC(T64, ZSTD(1)),
    image_output_tokens         UInt64 COMMENT 'images written, where they are counted in tokens' CODEC(T64, ZSTD(1)),
    unit_images                 UInt64 COMMENT 'images made' CODEC(T64, ZSTD(1)),
    unit_millis                 UInt64 COMMENT 'milliseconds of audio or video' CODEC(T64, ZSTD(1)),
    unit_characters             UInt64 COMMENT 'characters, where they are what is priced' CODEC(T64, ZSTD(1)),
    unit_searches               UInt64 COMMENT 'searches by the provider''s tools' CODEC(T64, ZSTD(1)),
    unit_requests               UInt64 COMMENT 'requests, where they are what is priced' CODEC(T64, ZSTD(1)),
    usage_source                LowCardinality(String) COMMENT 'provider, estimated or none',
    cost_nanousd                Int64 COMMENT 'cost in 1e-9 USD; an adjustment''s signed difference' CODEC(T64, ZSTD(1)),
    cost_breakdown_nanousd      Map(LowCardinality(String), Int64) COMMENT 'the cost by class of tokens and units; an adjustment''s signed differences' CODEC(ZSTD(1)),
    price_version               LowCardinality(String) COMMENT 'price row that was applied; empty when the model has none',
    correction_id               String DEFAULT '' COMMENT 'batch that an adjustment came in; empty for an exchange' CODEC(ZSTD(1)),
    priced_later                Bool DEFAULT false COMMENT 'an adjustment that priced an exchange which had no price',
    provider_request_id         String COMMENT 'the provider''s own id of the request' CODEC(ZSTD(1)),
    tags                        Map(LowCardinality(String), String) COMMENT 'attribution, names in lower case, sorted' CODEC(ZSTD(1)),
    service_tier                LowCardinality(String) COMMENT 'service tier that the answer reported, such as flex; it chooses among the prices',
    entities                    Map(LowCardinality(String), UInt32) COMMENT 'how many findings of each kind the security gateway masked, such as EMAIL; never values' CODEC(ZSTD(1)),

    model                       LowCardinality(String) MATERIALIZED if(model_served = '', model_requested, model_served)
                                COMMENT 'model_served, or model_requested when it is empty',
    unpriced                    Bool MATERIALIZED kind = 'exchange' AND usage_source != 'none' AND price_version = ''
                                COMMENT 'usage that no price was found for',
    hot_tags                    Map(LowCardinality(String), String) MATERIALIZED map()
                                COMMENT 'the tags that settings name as hot; kept in the rollups',

    INDEX ix_request_id request_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX ix_key_id     key_id     TYPE set(256)            GRANULARITY 1
)
ENGINE = {sharded:MergeTree}
PARTITION BY toYYYYMM(time)
PRIMARY KEY (organization_id, toStartOfHour(time))
ORDER BY (organization_id, toStartOfHour(time), provider, model, time)
TTL toDateTime(time) + toIntervalDay({keep_days})
SETTINGS {window}, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'One row per exchange and per later correction of its cost.';

{in_cluster} CREATE TABLE IF NOT EXISTS {database}.usage_events{on_cluster} AS {database}.usage_events_local
ENGINE = Distributed({cluster}, '{database}', 'usage_events_local')
COMMENT 'All shards; to be read. Batches are written to usage_events_local of one shard.';
