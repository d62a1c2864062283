"""Measures the usage store: rows a second that it takes, and how long /gw/stats takes over a month of one organization.

The usage is made inside the store, in the order of time: keys that each use two or three models and features, most of it in working
hours, a few errors.
Ingest sends the rows of real batches again, as the gateway does, into tables of their own with all rollups.

    run.py <the program> [--rows N] [--ingest N] [--batch N] [--rounds N]
"""

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

SETTINGS = {"async_insert": "0", "deduplicate_blocks_in_dependent_materialized_views": "1"}
GENERATE = """
INSERT INTO usage_events (request_id, time, recorded_at, organization_id, key_id, key_prefix, environment, provider, endpoint, method,
    model_requested, model_served, status, error_type, streamed, attempts, latency_ms, ttft_ms, bytes_in, bytes_out, input_tokens,
    cached_input_tokens, output_tokens, usage_source, cost_nanousd, price_version, tags)
WITH
    cityHash64(number) AS dice,
    dice % 200 AS key,
    cityHash64(key, intDiv(dice, 200) % 3) % 40 AS model,
    cityHash64(key, intDiv(dice, 600) % 2) % 25 AS feature,
    intDiv(dice, 1200) % 1000 AS luck,
    number * 30 / {rows} AS days,
    days - floor(days) AS part,
    multiIf(part < 0.1, part * 80, part < 0.9, 8 + (part - 0.1) * 12.5, 18 + (part - 0.9) * 60) AS hours,
    toUnixTimestamp64Milli(toDateTime64('{first_day} 00:00:00', 3, 'UTC')) AS first
SELECT
    leftPad(toString(number), 26, '0'),
    fromUnixTimestamp64Milli(first + toInt64(floor(days) * 86400000 + hours * 3600000), 'UTC') AS at,
    at,
    '{organization}',
    'key_' || toString(key),
    'gw_live_01234567',
    'live',
    ['openai', 'anthropic', 'google', 'alibaba'][model % 4 + 1],
    ['chat.completions', 'messages', 'generate_content', 'chat.completions'][model % 4 + 1],
    'POST',
    'model-' || toString(model) AS name,
    name,
    if(luck < 980, 200, [429, 502, 503, 400][luck % 4 + 1]) AS code,
    if(code = 200, '', ['rate_limited', 'provider_unreachable', 'provider_error', 'bad_request'][luck % 4 + 1]),
    luck % 2,
    1,
    200 + exp2(cityHash64(number, 'latency') % 1300 / 100),
    if(code = 200, 50 + exp2(cityHash64(number, 'ttft') % 1000 / 100), 0),
    1000, 2000,
    dice % 4000, dice % 2000, dice % 800,
    'provider',
    dice % 20000000,
    'v1/openai/' || name,
    map('feature', 'feature-' || toString(feature), 'team', 'team-' || toString(key % 12), 'user', toString(dice % 10000))
FROM numbers({first}, {count})
"""
# What is asked, which tables answer, and the most it should take on 10 million rows.
QUESTIONS = [
    ("group_by=model", "days", 300),
    ("group_by=key,model&order_by=cost_usd&limit=20", "days", 300),
    ("group_by=feature&interval=day", "days", 300),
    ("interval=week", "days", 300),
    ("group_by=provider&interval=hour&limit=1000", "hours", None),
    ("group_by=team", "rows", 1500),
    ("group_by=team,model&order_by=cost_usd", "rows", 1500),
    ("user=77", "rows", 1500),
]


class Store(http.client.HTTPConnection):
    """ClickHouse's HTTP interface on the store's socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def run(self, sql, body=b"", **settings):
        query = urllib.parse.urlencode({"query": sql, **SETTINGS, **settings})
        self.request("POST", f"/?{query}", body)
        answer = self.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"{sql[:80]}: {text.decode(errors='replace')}")
        return text


class Gateway:
    """A gateway in a folder of its own."""

    def __init__(self, program, folder):
        self.program, self.conf = program, folder / "conf"
        self.conf.mkdir()
        usage = {"embedded": {"folder": str(folder / "usage"), "memory_bytes_max": 4 << 30}, "query_timeout_seconds": 60}
        settings = {"listeners": [{"address": "127.0.0.1:0"}], "operations": {"address": "127.0.0.1:0"},
                    "store": {"sqlite": str(folder / "control.sqlite")}, "usage": usage}
        for name, text in {"gateway": json.dumps(settings), "providers": "", "prices": ""}.items():
            (self.conf / f"{name}.yaml").write_text(text)
        self.socket = folder / "usage" / "usage-store.sock"
        self.log = folder / "log"
        self.process = subprocess.Popen([program, "--config", self.conf, "serve"], stdout=self.log.open("w"),
                                        stderr=subprocess.DEVNULL)

    def command(self, *arguments):
        done = subprocess.run([self.program, "--config", self.conf, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout

    def port(self):
        for line in self.log.read_text().splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            fields = entry.get("fields", entry)
            if fields.get("message") == "listening" and fields.get("surface") == "callers":
                return int(fields["address"].rsplit(":", 1)[1])
        sys.exit("the gateway does not listen")

    def store_process(self):
        """The folder of the store's process under /proc; the gateway has started it."""
        mine = str(self.socket.parent).encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                arguments = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"usage-store" in arguments and mine in arguments:
                return process
        return None

    def store_cpu(self):
        """Seconds of processor time that the store's process has taken: on a shared machine they say more than the clock."""
        user, system = (self.store_process() / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        # it would wait some seconds for another gateway
        while process := self.store_process():
            os.kill(int(process.name), signal.SIGTERM)
            time.sleep(0.5)


def generate(store, organization, rows):
    first_day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 31 * 86400))
    step, started = 100_000, time.perf_counter()
    for first in range(0, rows, step):
        sql = GENERATE.format(first_day=first_day, organization=organization, first=first, rows=rows,
                              count=min(step, rows - first))
        store.run(sql, insert_deduplication_token=f"made-{first}", database="sociaro", max_partitions_per_insert_block="0")
    return time.perf_counter() - started


def ingest(gateway, store, rows, batch):
    """Rows a second, batch after batch, one connection; seconds a batch; processor time of all."""
    script = gateway.command("migrate", "--print")
    for statement in script.replace("sociaro.", "ingest.").replace("EXISTS sociaro;", "EXISTS ingest;").split(";\n"):
        if statement.strip():
            store.run(statement)
    columns = store.run("SELECT arrayStringConcat(groupArray(name), ', ') FROM system.columns WHERE database = 'ingest' "
                        "AND table = 'usage_events' AND default_kind != 'MATERIALIZED'").decode().strip()
    # rows that came together, as in life
    batches = [store.run(f"SELECT {columns} FROM usage_events ORDER BY time LIMIT {first}, {batch} FORMAT RowBinary", database="sociaro")
               for first in range(0, rows, batch)]
    times, cpu = [], gateway.store_cpu()
    for number, body in enumerate(batches):
        started = time.perf_counter()
        store.run(f"INSERT INTO usage_events ({columns}) FORMAT RowBinary", body, database="ingest",
                  insert_deduplication_token=f"batch-{number}")
        times.append(time.perf_counter() - started)
    cpu = gateway.store_cpu() - cpu
    counted = [int(store.run(f"SELECT {sql}", database="ingest")) for sql in
               ("count() FROM usage_events", "sum(requests) FROM usage_hourly", "sum(requests) FROM usage_daily")]
    if counted != [rows] * 3:
        sys.exit(f"{rows} rows went in, {counted} are there")
    return rows / sum(times), statistics.median(times), cpu


def ask(gateway, port, key, question, rounds):
    """Milliseconds: the median, the best, processor time; and the answer."""
    times, cpu = [], gateway.store_cpu()
    for _ in range(rounds):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        started = time.perf_counter()
        connection.request("GET", f"/gw/stats?since=30d&{question}", headers={"authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        text = answer.read()
        times.append((time.perf_counter() - started) * 1000)
        if answer.status != 200:
            sys.exit(f"{question}: {text.decode()}")
    cpu = (gateway.store_cpu() - cpu) * 1000 / rounds
    return statistics.median(times), min(times), cpu, json.loads(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--ingest", type=int, default=500_000)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(os.path.abspath(arguments.program), Path(folder))
        try:
            measure(gateway, arguments)
        finally:
            gateway.stop()


def measure(gateway, arguments):
    gateway.command("migrate")
    organization = json.loads(gateway.command("org", "create", "--name", "bench", "--json"))["id"]
    key = json.loads(gateway.command("key", "issue", "--org", "bench", "--scope", "stats:read", "--json"))["key"]
    store = Store(gateway.socket)
    load = os.getloadavg()[0]
    seconds = generate(store, organization, arguments.rows)
    sizes = [int(store.run(f"SELECT count() FROM {table}", database="sociaro"))
             for table in ("usage_events", "usage_hourly", "usage_daily")]
    print(f"{os.cpu_count()} cores, load {load:.1f} before; {sizes[0]:,} rows made in {seconds:.0f} s; "
          f"{sizes[1]:,} sums by hour, {sizes[2]:,} by day (before merges)")
    rows = min(arguments.ingest, arguments.rows)
    rate, batch, cpu = ingest(gateway, store, rows, arguments.batch)
    print(f"ingest: {rate:,.0f} rows/s in batches of {arguments.batch:,}, rollups included; {batch * 1000:.0f} ms a batch, "
          f"{cpu * 1e6 / rows:.1f} us of processor time a row")
    port = gateway.port()
    print(f"{'/gw/stats?since=30d&':<56} {'from':<6} {'median ms':>9} {'best ms':>8} {'cpu ms':>8} {'at most':>8}")
    for question, table, most in QUESTIONS:
        median, best, cpu, stats = ask(gateway, port, key, question, arguments.rounds)
        if not stats["totals"]["requests"]:
            sys.exit(f"{question} finds nothing")
        print(f"{question:<56} {table:<6} {median:9.0f} {best:8.0f} {cpu:8.0f} {most or '-':>8}")


if __name__ == "__main__":
    main()
