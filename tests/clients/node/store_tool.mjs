// What a dashboard does with ClickHouse's official JavaScript client at the usage store's port for tools; prints what it saw as JSON.
import { createClient } from '@clickhouse/client'

const [port, password] = [process.argv[2], process.env.STORE_PASSWORD]
const connect = (password, compression) =>
  createClient({
    url: `http://127.0.0.1:${port}`,
    username: 'default',
    password,
    database: 'sociaro',
    compression: { response: compression, request: false },
  })
const refused = async (action) => {
  try {
    await action()
    return ''
  } catch (error) {
    return `${error.code ?? ''} ${error.type ?? ''} ${error.message}`
  }
}

const seen = {}
const wrong = connect(`${password}x`, false)
seen.wrong_password = await refused(() => wrong.query({ query: 'SELECT 1' }))
await wrong.close()
const sql =
  'SELECT model, toString(sum(request_count)) AS requests, toString(sum(cost_usd)) AS cost FROM usage_costs_daily GROUP BY model ORDER BY model'
for (const compression of [false, true]) {
  const tool = connect(password, compression)
  seen.ping = (await tool.ping()).success
  const rows = await (await tool.query({ query: sql, format: 'JSONEachRow' })).json()
  seen[`rows_${compression}`] = rows.map((row) => [row.model, Number(row.requests), row.cost])
  const counted = await tool.query({
    query: 'SELECT count() AS n FROM usage_requests WHERE model = {model:String}',
    query_params: { model: rows.at(-1).model },
    format: 'JSON',
  })
  seen.with_parameter = Number((await counted.json()).data[0].n)
  let streamed = 0
  const result = await tool.query({ query: 'SELECT number FROM numbers(100000)', format: 'JSONEachRow' })
  for await (const lines of result.stream()) streamed += lines.length
  seen.streamed = streamed
  seen.unknown_column = await refused(() => tool.query({ query: 'SELECT nope FROM usage_requests' }))
  seen.write = await refused(() => tool.command({ query: 'CREATE TABLE t (a UInt8) ENGINE = Memory' }))
  seen.insert = await refused(() =>
    tool.insert({ table: 'schema_version', values: [{ version: 1 }], format: 'JSONEachRow' }),
  )
  await tool.close()
}
console.log(JSON.stringify(seen))
