-- Which migrations were applied. Two instances may both write a row for one: the highest version counts.
CREATE TABLE IF NOT EXISTS {database}.schema_version
(
    version    UInt32,
    name       String,
    applied_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY version
COMMENT 'Migrations of the usage tables that were applied.';
