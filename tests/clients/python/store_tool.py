"""What a BI tool does with ClickHouse's official Python client at the usage store's port for tools; prints what it saw as JSON."""

import json
import os
import sys

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError


def client(port: int, password: str, **options: object) -> clickhouse_connect.driver.client.Client:
    return clickhouse_connect.get_client(
        host="127.0.0.1", port=port, username="default", password=password, database="sociaro", **options
    )


def refused(action) -> str:
    try:
        action()
    except DatabaseError as error:
        return str(error)
    return ""


def main() -> int:
    port, password = int(sys.argv[1]), os.environ["STORE_PASSWORD"]
    seen: dict[str, object] = {"wrong_password": refused(lambda: client(port, password + "x"))}
    sql = "SELECT model, sum(request_count) AS requests, sum(cost_usd) AS cost FROM usage_costs_daily GROUP BY model ORDER BY model"
    for compress in (False, "lz4", "zstd"):
        tool = client(port, password, compress=compress)
        seen["ping"] = tool.ping()
        rows = tool.query(sql).result_rows
        seen[f"rows_{compress}"] = [[model, requests, f"{cost.normalize():f}"] for model, requests, cost in rows]
    model = rows[-1][0]
    found = tool.query("SELECT count() FROM usage_requests WHERE model = {model:String}", parameters={"model": model})
    seen["with_parameter"] = found.result_rows[0][0]
    with tool.query_row_block_stream("SELECT number FROM numbers(100000)") as stream:
        seen["streamed"] = sum(len(block) for block in stream)
    seen["csv"] = tool.raw_query("SELECT 1 AS one, 'a,b' AS two", fmt="CSVWithNames").decode()
    seen["tables"] = [row[0] for row in tool.query("SHOW TABLES LIKE 'usage_costs%'").result_rows]
    seen["write"] = refused(lambda: tool.command("CREATE TABLE t (a UInt8) ENGINE = Memory"))
    seen["insert"] = refused(lambda: tool.insert("schema_version", [[1, "x"]], column_names=["version", "name"]))
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
