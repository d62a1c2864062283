-- Which costs were corrected afterwards, why, and what did it change? By the month of the requests, and the day of the correction.
SELECT
    toStartOfMonth(day) AS month,
    made_on,
    reason,
    provider,
    sum(adjustment_count) AS adjustments,
    sum(usage_adjustments.cost_usd) AS cost_usd
FROM usage_adjustments
WHERE day >= {since:Date} AND day < {until:Date}
GROUP BY month, made_on, reason, provider
ORDER BY month, made_on, reason, provider
