-- How much of each provider's error budget is left? `objective` is the share of requests that should go well, such as 0.999. What
-- callers did wrong, or what we refused, is not the provider's fault and does not count.
SELECT
    provider,
    sumIf(request_count, at_provider) AS asked,
    sumIf(request_count, failed) AS failures,
    round(1 - failures / asked, 5) AS availability,
    round(100 * (1 - failures / (asked * (1 - {objective:Float64}))), 1) AS percent_of_budget_left
FROM
(
    SELECT
        provider,
        request_count,
        error_type IN ('provider_cut', 'provider_unreachable', 'provider_timeout')
            OR (error_type = 'provider_error' AND (status >= 500 OR status = 200)) AS failed,
        failed OR error_type IN ('', 'provider_error', 'caller_gone') AS at_provider
    FROM usage_outcomes_daily
    WHERE day >= {since:Date} AND day < {until:Date} AND environment = 'live'
)
GROUP BY provider
HAVING asked > 0
ORDER BY percent_of_budget_left, provider
