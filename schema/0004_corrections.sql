-- What corrections of cost need. Repricing reads the service tier. An adjustment names the batch that it came in, so that a
-- batch that was broken off can be found and finished; and it says whether it priced an exchange that had no price, which
-- is then not counted as unpriced any longer. An adjustment's own counts of tokens and units are 0.
-- The new columns have defaults: the program before this one goes on inserting without them.
ALTER TABLE {database}.usage_events{local}{on_cluster}
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String) DEFAULT ''
    COMMENT 'service tier that the answer reported, such as flex; it chooses among the prices' AFTER usage_source;

{in_cluster} ALTER TABLE {database}.usage_events{on_cluster}
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String) DEFAULT ''
    COMMENT 'service tier that the answer reported, such as flex; it chooses among the prices' AFTER usage_source;

ALTER TABLE {database}.usage_events{local}{on_cluster}
    ADD COLUMN IF NOT EXISTS correction_id String DEFAULT ''
    COMMENT 'batch that an adjustment came in; empty for an exchange' CODEC(ZSTD(1)) AFTER price_version;

{in_cluster} ALTER TABLE {database}.usage_events{on_cluster}
    ADD COLUMN IF NOT EXISTS correction_id String DEFAULT ''
    COMMENT 'batch that an adjustment came in; empty for an exchange' AFTER price_version;

ALTER TABLE {database}.usage_events{local}{on_cluster}
    ADD COLUMN IF NOT EXISTS priced_later Bool DEFAULT false
    COMMENT 'an adjustment that priced an exchange which had no price' AFTER correction_id;

{in_cluster} ALTER TABLE {database}.usage_events{on_cluster}
    ADD COLUMN IF NOT EXISTS priced_later Bool DEFAULT false
    COMMENT 'an adjustment that priced an exchange which had no price' AFTER correction_id;

ALTER TABLE {database}.usage_events{local}{on_cluster}
    COMMENT COLUMN kind 'exchange: one per request id; adjustment: a later correction of its cost, with the exchange''s own time and dimensions, and no counts';

{in_cluster} ALTER TABLE {database}.usage_events{on_cluster}
    COMMENT COLUMN kind 'exchange: one per request id; adjustment: a later correction of its cost, with the exchange''s own time and dimensions, and no counts';

ALTER TABLE {database}.usage_events{local}{on_cluster}
    COMMENT COLUMN cost_breakdown_nanousd 'the cost by class of tokens and units; an adjustment''s signed differences';

{in_cluster} ALTER TABLE {database}.usage_events{on_cluster}
    COMMENT COLUMN cost_breakdown_nanousd 'the cost by class of tokens and units; an adjustment''s signed differences';

CREATE TABLE IF NOT EXISTS {database}.usage_corrections{on_cluster}
(
    correction_id String COMMENT 'batch of adjustments, all of one hour',
    hour          DateTime('UTC') COMMENT 'hour of their exchanges',
    stored_at     DateTime64(3, 'UTC') COMMENT 'when it stood in the rows and in all sums',
    reason        LowCardinality(String) COMMENT 'why it was made',
    adjustments   UInt64 COMMENT 'how many there are in it',
    cost_nanousd  Int64 COMMENT 'the sum of their differences'
)
ENGINE = {everywhere:MergeTree}
ORDER BY (hour, correction_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Batches of adjustments that are wholly stored. A batch may stand here twice.';
