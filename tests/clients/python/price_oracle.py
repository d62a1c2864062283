"""What the package genai-prices makes of readings: JSON lines in, JSON lines out, one for one.

In: {"provider", "model", "tier", "at", "tokens": {class: count}}. Out: {"usd": "0.001"} rounded to nano-dollars, or
{"unknown": "model"} or {"unknown": "tier"} where the package has no such entry.
"""

import json
import sys
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from genai_prices import Usage, calc_price

PROVIDERS = {"xai": "x-ai"}
INPUT = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "audio_input", "image_input")
OUTPUT = ("output", "audio_output", "image_output")


def usage(tokens):
    """The package counts every class inside the whole input or output; ours are disjoint."""
    get = lambda name: tokens.get(name, 0)
    counts = {
        "input_tokens": sum(map(get, INPUT)),
        "output_tokens": sum(map(get, OUTPUT)),
        "cache_read_tokens": get("cached_input"),
        "cache_write_tokens": get("cache_write_5m") + get("cache_write_1h"),
        "cache_write_5m_tokens": get("cache_write_5m"),
        "cache_write_1h_tokens": get("cache_write_1h"),
        "input_audio_tokens": get("audio_input"),
        "output_audio_tokens": get("audio_output"),
        "input_image_tokens": get("image_input"),
        "output_image_tokens": get("image_output"),
    }
    return Usage(**{name: count for name, count in counts.items() if count})


def contexts(tier):
    """How the package names a tier; none for the standard one."""
    if not tier:
        return []
    return [{"processing": "batch"}] if tier == "batch" else [{"service_tier": tier}, {"speed": tier}]


def answer(case):
    provider = PROVIDERS.get(case["provider"], case["provider"])
    at = datetime.fromisoformat(case["at"])

    def price(context):
        return calc_price(
            usage(case["tokens"]),
            case["model"],
            provider_id=provider,
            genai_request_timestamp=at,
            price_context=context,
        )

    try:
        found = price(None)
    except LookupError:
        return {"unknown": "model"}
    if case["tier"]:
        variants = [variant.when for variant in found.model.price_variants or ()]
        known = [context for context in contexts(case["tier"]) if context in variants]
        if not known:
            return {"unknown": "tier"}
        found = price(known[0])
    usd = found.total_price.quantize(Decimal("1e-9"), ROUND_HALF_UP).normalize()
    return {"usd": f"{usd:f}"}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
