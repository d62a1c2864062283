-- What the security gateway masked: numbers alone, never values. The column has a default: the program before this one
-- goes on inserting without it.
ALTER TABLE {database}.usage_events
    ADD COLUMN IF NOT EXISTS entities Map(LowCardinality(String), UInt32) DEFAULT map()
    COMMENT 'how many findings of each kind were masked, such as EMAIL; only kinds that were found' CODEC(ZSTD(1)) AFTER tags;
