-- A user for people and BI tools: reads the views, and nothing else. Not part of the migrations, since making users is the
-- administrator's right: print it with `sociaro-gateway migrate --print --analyst`, read it, set the password, run it as a user
-- that may. Run it again after an upgrade that changed the views: a view that was made anew asks for the reader's own rights.
--
-- The views read with the rights of `{database}_views`, so that the analyst needs none on the tables. Nobody can log in as it.
CREATE USER IF NOT EXISTS {database}_views{on_cluster} IDENTIFIED WITH no_password HOST NONE;

GRANT{on_cluster} SELECT ON {database}.* TO {database}_views;

ALTER TABLE {database}.usage_costs_daily{on_cluster} MODIFY DEFINER = {database}_views SQL SECURITY DEFINER;

ALTER TABLE {database}.usage_costs_monthly{on_cluster} MODIFY DEFINER = {database}_views SQL SECURITY DEFINER;

ALTER TABLE {database}.usage_outcomes_daily{on_cluster} MODIFY DEFINER = {database}_views SQL SECURITY DEFINER;

ALTER TABLE {database}.usage_latency_daily{on_cluster} MODIFY DEFINER = {database}_views SQL SECURITY DEFINER;

ALTER TABLE {database}.usage_adjustments{on_cluster} MODIFY DEFINER = {database}_views SQL SECURITY DEFINER;

ALTER TABLE {database}.usage_requests{on_cluster} MODIFY DEFINER = {database}_views SQL SECURITY DEFINER;

ALTER TABLE {database}.usage_prices{on_cluster} MODIFY DEFINER = {database}_views SQL SECURITY DEFINER;

CREATE SETTINGS PROFILE IF NOT EXISTS {database}_analyst{on_cluster} SETTINGS
    readonly = 2,
    max_execution_time = 60 MAX 300,
    max_memory_usage = 4000000000 MAX 8000000000,
    max_rows_to_read = 10000000000;

CREATE ROLE IF NOT EXISTS {database}_analyst{on_cluster} SETTINGS PROFILE '{database}_analyst';

GRANT{on_cluster} SELECT ON {database}.usage_costs_daily TO {database}_analyst;

GRANT{on_cluster} SELECT ON {database}.usage_costs_monthly TO {database}_analyst;

GRANT{on_cluster} SELECT ON {database}.usage_outcomes_daily TO {database}_analyst;

GRANT{on_cluster} SELECT ON {database}.usage_latency_daily TO {database}_analyst;

GRANT{on_cluster} SELECT ON {database}.usage_adjustments TO {database}_analyst;

GRANT{on_cluster} SELECT ON {database}.usage_requests TO {database}_analyst;

GRANT{on_cluster} SELECT ON {database}.usage_prices TO {database}_analyst;

CREATE USER IF NOT EXISTS analyst{on_cluster} IDENTIFIED WITH sha256_password BY 'choose a password' DEFAULT ROLE {database}_analyst;

GRANT{on_cluster} {database}_analyst TO analyst;
