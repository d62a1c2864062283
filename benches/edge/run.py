"""Measures the edge: direct, nginx with keep-alive, bare Pingora, and the full gateway, alternating in one run.

Proxies run on core 0; the provider, the load and the gateway's usage store on core 1. For each: requests/s and p50/p99/p99.9 as
fast as it can, peak memory, the delay of one chunk of a stream, and the CPU time of one request of the proxy's own process at the
same rate for all: at its limit a proxy finds its neighbours awake, and a slower one pays for waking them, which says nothing
about either. Figures are medians over the rounds; what counts are the ratios, since machines are shared.

    run.py <folder of the release binaries> [--rounds N] [--seconds N]
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ANSWER = json.dumps({
    "id": "chatcmpl-bench", "object": "chat.completion", "created": 1795300000, "model": "gpt-5.4-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 60}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 260,
              "prompt_tokens_details": {"cached_tokens": 128}, "completion_tokens_details": {"reasoning_tokens": 0}},
})


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(core, *command, **options):
    return subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], **options)


def wait_for(port):
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def processes(pid):
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += processes(int(child))
    return found


def cpu_seconds(pid):
    """Time that the threads of a process have run, to the nanosecond (user and system)."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def at_rate(port, path, key, body, seconds, rate, connections):
    """Sends so many requests a second; gives how many were answered with 2xx."""
    out = subprocess.run(["taskset", "-c", "1", "h2load", "--h1", "-t1", f"-c{connections}", f"-D{seconds}", "--rps", str(rate / connections),
                          "-d", str(body), "-H", f"authorization: Bearer {key}", "-H", "content-type: application/json",
                          f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"status codes: (\d+) 2xx", out)[1])


def peak_mib(pids):
    return sum(int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) for pid in pids) / 1024


NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/{name}.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 100000000; client_max_body_size 100m;
  {body}
}}
"""


def nginx(core, folder, name, body):
    path = Path(folder) / f"{name}.conf"
    path.write_text(NGINX.format(folder=folder, name=name, body=body))
    return pinned(core, "nginx", "-c", path, "-p", folder, stderr=subprocess.DEVNULL)


def gateway(binaries, folder, upstream, stream_upstream, threads):
    conf = Path(folder) / "conf"
    conf.mkdir()
    (conf / "prices.yaml").write_text((HERE.parent.parent / "conf" / "prices.yaml").read_text())
    port, operations = free_port(), free_port()
    (conf / "gateway.yaml").write_text(f"""
listeners: [{{address: "127.0.0.1:{port}"}}]
operations: {{address: "127.0.0.1:{operations}"}}
server: {{threads: {threads}}}
store: {{sqlite: "{folder}/control.sqlite"}}
usage: {{embedded: {{folder: "{folder}/usage"}}, spool: {{folder: "{folder}/spool"}}}}
""")
    shipped = (HERE.parent.parent / "conf" / "providers.yaml").read_text()
    here = re.sub(r"(?m)^(\s+upstream: )https://api\.openai\.com\s*$", rf"\g<1>http://127.0.0.1:{upstream}", shipped)
    # `providers:` stands last, so one more can be appended.
    more = f"""
  streams:
    upstream: http://127.0.0.1:{stream_upstream}
    dialect: openai
    credential: env:OPENAI_API_KEY
"""
    (conf / "providers.yaml").write_text(here.rstrip() + more)
    log = open(Path(folder) / "gateway.log", "wb")
    env = {**os.environ, "OPENAI_API_KEY": "sk-bench"}
    process = pinned(0, Path(binaries) / "sociaro-gateway", "--config", conf, "serve", env=env, stdout=log, stderr=subprocess.PIPE)
    for line in process.stderr:
        if b"bootstrap key: " in line:
            return process, port, line.decode().split("bootstrap key: ")[1].strip()
    sys.exit("the gateway gave no bootstrap key: see " + log.name)


def load(folder, port, path, key, seconds, connections):
    script = Path(folder) / "load.lua"
    content = "a" * 900
    script.write_text(f"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
wrk.body = '{{"model":"gpt-5.4-mini","messages":[{{"role":"user","content":"{content}"}}]}}'
done = function(summary, latency, requests)
  io.write(string.format('RESULT {{"requests":%d,"errors":%d,"us":%d,"p50":%d,"p99":%d,"p999":%d}}\\n', summary.requests,
    summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout + summary.errors.connect,
    summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
""")
    out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script),
                          f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
    return json.loads(out.split("RESULT ")[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=int, default=0, help="requests a second for the CPU figures; default 70 %% of the slowest")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        running = []
        try:
            report(measure(options, folder, running), options)
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
            for process in running:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def measure(options, folder, running):
    upstream, through, bare, probe, stream_nginx, stream_bare = (free_port() for _ in range(6))
    running.append(nginx(1, folder, "upstream", f"server {{ listen {upstream}; location / {{ default_type application/json; return 200 '{ANSWER}'; }} }}"))
    proxy = f"""upstream provider {{ server 127.0.0.1:{upstream}; keepalive 128; }}
  upstream streams {{ server 127.0.0.1:{probe}; }}
  server {{ listen {through}; location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
  server {{ listen {stream_nginx}; location / {{ proxy_pass http://streams; proxy_http_version 1.1; proxy_buffering off; }} }}"""
    nginx_proxy = nginx(0, folder, "proxy", proxy)
    bare_proxy = pinned(0, Path(options.binaries) / "examples/bare_pingora", f"127.0.0.1:{bare}", f"127.0.0.1:{upstream}")
    bare_streams = pinned(0, Path(options.binaries) / "examples/bare_pingora", f"127.0.0.1:{stream_bare}", f"127.0.0.1:{probe}")
    running += [nginx_proxy, bare_proxy, bare_streams]
    full, port, key = gateway(options.binaries, folder, upstream, probe, 1)
    running.append(full)
    for each in (upstream, through, bare, port):
        wait_for(each)
    path = "/v1/chat/completions"
    variants = {
        "direct": (upstream, path, None),
        "nginx": (through, path, nginx_proxy.pid),
        "bare Pingora": (bare, path, bare_proxy.pid),
        "gateway": (port, "/openai" + path, full.pid),
    }
    results = {name: [] for name in variants}
    for name, (to, where, _) in variants.items():
        load(folder, to, where, key, 1, options.connections)
    for store in processes(full.pid)[1:]:
        subprocess.run(["taskset", "-a", "-c", "-p", "1", str(store)], stdout=subprocess.DEVNULL, check=True)
    for _ in range(options.rounds):
        for name, (to, where, _) in variants.items():
            found = load(folder, to, where, key, options.seconds, options.connections)
            found["rps"] = found["requests"] * 1e6 / found["us"]
            results[name].append(found)
    proxied = {name: variant for name, variant in variants.items() if variant[2]}
    rate = options.rate or int(0.7 * min(statistics.median(row["rps"] for row in results[name]) for name in proxied))
    body = Path(folder) / "body.json"
    body.write_text(json.dumps({"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "a" * 900}]}))
    for round in range(options.rounds):
        for name, (to, where, pid) in proxied.items():
            before = cpu_seconds(pid)
            answered = at_rate(to, where, key, body, options.seconds, rate, options.connections)
            results[name][round]["cpu_us"] = (cpu_seconds(pid) - before) * 1e6 / answered
    streams = {name: [] for name in ("direct", "nginx", "bare Pingora", "gateway")}
    for _ in range(options.rounds):
        for name, to, where in (("direct", probe, path), ("nginx", stream_nginx, path), ("bare Pingora", stream_bare, path),
                                ("gateway", port, "/streams" + path)):
            out = subprocess.run(["taskset", "-c", "1", str(Path(options.binaries) / "examples/edge_probe"), f"127.0.0.1:{probe}",
                                  f"127.0.0.1:{to}", where, key], capture_output=True, text=True, check=True).stdout
            streams[name].append(json.loads(out))
    memory = {name: peak_mib([pid]) for name, (_, _, pid) in proxied.items()}
    return results, streams, memory, rate


def report(measured, options):
    results, streams, memory, rate = measured
    mid = lambda rows, field: statistics.median(row.get(field, 0) for row in rows)
    rows = []
    for name, found in results.items():
        rows.append({"name": name, "rps": mid(found, "rps"), "p50_us": mid(found, "p50"), "p99_us": mid(found, "p99"),
                     "p999_us": mid(found, "p999"), "cpu_us": mid(found, "cpu_us"), "errors": sum(r["errors"] for r in found),
                     "peak_mib": memory.get(name, 0), "chunk_p50_us": mid(streams[name], "p50_us"), "chunk_p99_us": mid(streams[name], "p99_us"),
                     "chunks": min(row["chunks"] for row in streams[name])})
    if options.json:
        print(json.dumps(rows))
        return
    floor = next(row for row in rows if row["name"] == "bare Pingora")
    print(f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections, 1 KB chat call, 1 worker thread; medians\n")
    print(f"{'':14}{'req/s':>9}{'p50 us':>9}{'p99 us':>9}{'p99.9 us':>10}{'CPU us/req':>12}{'CPU ratio':>11}{'peak MiB':>10}{'chunk p50':>11}{'added':>8}{'errors':>8}")
    for row in rows:
        ratio = row["cpu_us"] / floor["cpu_us"] if row["cpu_us"] else 0
        added = row["chunk_p50_us"] - floor["chunk_p50_us"]
        print(f"{row['name']:14}{row['rps']:>9.0f}{row['p50_us']:>9.0f}{row['p99_us']:>9.0f}{row['p999_us']:>10.0f}{row['cpu_us']:>12.1f}"
              f"{ratio:>11.2f}{row['peak_mib']:>10.0f}{row['chunk_p50_us']:>11.0f}{added:>+8.0f}{row['errors']:>8}")
    print(f"\nCPU per request at {rate} requests a second for each. CPU ratio and added chunk delay (us at the median) are against bare Pingora.")


if __name__ == "__main__":
    main()
