-- How long do answers take, model by model? Whole answers, and the first byte of their bodies; milliseconds, within one percent.
WITH
    quantilesBFloat16(0.5, 0.95)(latency_ms) AS latency,
    quantilesBFloat16If(0.5, 0.95)(ttft_ms, ttft_ms > 0) AS ttft
SELECT
    provider,
    model,
    count() AS requests,
    round(latency[1]) AS latency_ms_p50,
    round(latency[2]) AS latency_ms_p95,
    round(ttft[1]) AS ttft_ms_p50,
    round(ttft[2]) AS ttft_ms_p95
FROM usage_requests
WHERE time >= {since:Date} AND time < {until:Date} AND kind = 'exchange' AND error_type = ''
GROUP BY provider, model
ORDER BY latency_ms_p95 DESC, model
