-- Which migrations were applied. Two instances may both write a row for one: the highest version counts.
CREATE TABLE IF NOT EXISTS {database}.schema_version{on_cluster}
(
    version    UInt32 COMMENT 'number of the migration',
    name       String COMMENT 'its file',
    applied_at DateTime64(3, 'UTC') COMMENT 'when it was done'
)
ENGINE = {everywhere:MergeTree}
ORDER BY version
COMMENT 'Migrations of the usage tables that were applied.';
