-- What will the month cost? What it cost until yesterday, and the mean of the last seven whole days for each day that is left.
WITH
    toStartOfMonth({today:Date}) AS first_day,
    toDate(addMonths(first_day, 1)) AS next_month
SELECT
    organization_id,
    sumIf(usage_costs_daily.cost_usd, day >= first_day) AS cost_usd_so_far,
    round(sumIf(usage_costs_daily.cost_usd, day >= {today:Date} - 7) / 7, 6) AS cost_usd_per_day,
    next_month - {today:Date} AS days_left,
    cost_usd_so_far + cost_usd_per_day * days_left AS cost_usd_forecast
FROM usage_costs_daily
WHERE day >= least(first_day, {today:Date} - 7) AND day < {today:Date}
GROUP BY organization_id
ORDER BY cost_usd_forecast DESC, organization_id
