-- On which days did a model cost an organization more than so many times (`times`) its mean of the seven days before?
SELECT day, organization_id, model, cost_usd, mean_usd
FROM
(
    SELECT
        day,
        organization_id,
        model,
        sum(usage_costs_daily.cost_usd) AS cost_usd,
        round(sum(toFloat64(cost_usd)) OVER (PARTITION BY organization_id, model ORDER BY toInt32(day) RANGE BETWEEN 7 PRECEDING AND 1 PRECEDING) / 7, 6) AS mean_usd
    FROM usage_costs_daily
    WHERE day >= {since:Date} - 7 AND day < {until:Date}
    GROUP BY day, organization_id, model
)
WHERE day >= {since:Date} AND mean_usd > 0 AND toFloat64(cost_usd) > mean_usd * {times:Float64}
ORDER BY day, organization_id, model
