-- The prices that costs were computed from, so that a `price_version` can be looked up beside the usage. Every gateway writes the
-- rows of its price book when it starts; the same row again replaces itself.
CREATE TABLE IF NOT EXISTS {database}.price_rows{on_cluster}
(
    price_version      String COMMENT 'as in usage_events, without the variants behind #',
    book_version       LowCardinality(String) COMMENT 'version of the whole price book',
    provider           LowCardinality(String) COMMENT 'provider whose requests it prices',
    model              LowCardinality(String) COMMENT 'model, by the name of its row',
    valid_from         Nullable(DateTime64(3, 'UTC')) COMMENT 'first moment at which it holds; null: always did',
    valid_until        Nullable(DateTime64(3, 'UTC')) COMMENT 'first moment at which it no longer holds; null: holds',
    service_tier       LowCardinality(String) COMMENT 'service tier that it is for; empty for the standard one',
    input_tokens_above UInt64 COMMENT 'only for requests with more input than this; 0 for all',
    class              LowCardinality(String) COMMENT 'class of tokens or units',
    usd                Decimal(38, 15) COMMENT 'price in USD',
    per                UInt32 COMMENT 'for so many tokens or units',
    source             String COMMENT 'where the figure comes from',
    recorded_at        DateTime64(3, 'UTC') COMMENT 'when a gateway wrote it'
)
ENGINE = {everywhere:ReplacingMergeTree:recorded_at}
ORDER BY (provider, model, price_version, service_tier, input_tokens_above, class)
SETTINGS {window}, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Price rows of all price books that were in use.';

CREATE OR REPLACE VIEW {database}.usage_prices{on_cluster} AS
SELECT price_version, book_version, provider, model, valid_from, valid_until, service_tier, input_tokens_above, class, usd, per, source
FROM {database}.price_rows FINAL;
