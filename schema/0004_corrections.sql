-- What corrections of cost need beside the rows: an adjustment names the batch that it came in (`correction_id`), so that a batch
-- that was broken off can be found and finished. An adjustment's own counts of tokens and units are 0.
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
