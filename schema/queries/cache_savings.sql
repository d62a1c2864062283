-- What did the providers' caches save? Tokens read from a cache, at the price of input less the price of cached input: both of the
-- standard tier of the row that priced the request.
WITH prices AS
(
    SELECT
        price_version,
        maxIf(usd, class = 'input') AS input_usd,
        maxIf(usd, class = 'cached_input') AS cached_usd,
        any(per) AS per
    FROM usage_prices
    WHERE service_tier = '' AND input_tokens_above = 0 AND class IN ('input', 'cached_input')
    GROUP BY price_version
    HAVING countIf(class = 'input') > 0 AND countIf(class = 'cached_input') > 0
)
SELECT
    provider,
    model,
    sum(input_tokens) AS input,
    sum(cached_input_tokens) AS cached,
    round(100 * cached / (input + cached), 1) AS percent_cached,
    sum(toDecimal128(cached_input_tokens, 0) * (input_usd - cached_usd) / per) AS saved_usd
FROM usage_requests
INNER JOIN prices ON prices.price_version = splitByChar('#', usage_requests.price_version)[1]
WHERE time >= {since:Date} AND time < {until:Date} AND kind = 'exchange'
GROUP BY provider, model
HAVING cached > 0
ORDER BY saved_usd DESC, model
