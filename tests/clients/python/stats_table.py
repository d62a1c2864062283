"""Waits until /gw/stats has counted a number of requests, and prints its rows as a table."""

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

DIMENSIONS = ["provider", "endpoint", "model"]
FIGURES = ["requests", "errors", "input_tokens", "cached_input_tokens", "output_tokens", "cost_usd"]
PATIENCE_SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(description="Prints /gw/stats as a table.")
    parser.add_argument("base_url", help="the gateway, such as http://127.0.0.1:8080")
    parser.add_argument("key", help="a gateway key with the scope stats:read")
    parser.add_argument("--requests", type=int, default=0, help="wait for that many requests")
    arguments = parser.parse_args()

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        stats, fault = ask(arguments.base_url, arguments.key)
        counted = int(stats["totals"].get("requests", 0)) if stats else 0
        if stats and counted >= arguments.requests:
            show(stats)
            return 0
        if time.monotonic() > deadline:
            print(f"{counted} of {arguments.requests} requests were counted. {fault}", file=sys.stderr)
            return 1
        time.sleep(0.2)


def ask(base_url: str, key: str) -> tuple[dict[str, Any] | None, str]:
    query = urllib.parse.urlencode({"group_by": ",".join(DIMENSIONS), "since": "1h"})
    request = urllib.request.Request(f"{base_url}/gw/stats?{query}", headers={"authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer), ""
    except urllib.error.HTTPError as error:
        return None, f"{error}: {error.read().decode()}"
    except OSError as error:
        return None, str(error)


def show(stats: dict[str, Any]) -> None:
    columns = DIMENSIONS + FIGURES
    lines = [columns]
    lines += [[str(row.get(column, "")) for column in columns] for row in stats["rows"]]
    totals = stats["totals"]
    lines.append(["total"] + [""] * (len(DIMENSIONS) - 1) + [str(totals.get(figure, "")) for figure in FIGURES])
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        cells = [
            cell.ljust(width) if index < len(DIMENSIONS) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    sys.exit(main())
