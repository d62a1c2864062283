// A second opinion beside our own simulator: aimock, which others wrote, as the provider behind the gateway.
//
// Prints {"listening": "http://127.0.0.1:PORT"} and then answers commands on standard input, one a line: `journal`
// prints {"journal": [{method, path, headers, body, status}]}, `clear` forgets it, `stop` (or the input's end) stops.
// It accepts only the credentials that stand in AIMOCK_API_KEYS (separated by commas), whatever slot they come in.

import { createInterface } from "node:readline";
import { LLMock } from "@copilotkit/aimock";

const apiKeys = (process.env.AIMOCK_API_KEYS ?? "").split(",").filter(Boolean);
const mock = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent", ...(apiKeys.length && { auth: { apiKeys } }) });
mock.onMessage(/.*/, {
  content: "Hello from aimock.",
  usage: {
    prompt_tokens: 11, completion_tokens: 7, total_tokens: 18,
    input_tokens: 11, output_tokens: 7,
    promptTokenCount: 11, candidatesTokenCount: 7, totalTokenCount: 18,
  },
});
mock.onEmbedding(/.*/, { embedding: [0.5, -0.5] });

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const commands = {
  journal: () => print({
    journal: mock.getRequests().map(({ method, path, headers, body, response }) => (
      { method, path, headers, body, status: response.status }
    )),
  }),
  clear: () => {
    mock.clearRequests();
    print({ cleared: true });
  },
};

print({ listening: await mock.start() });
for await (const line of createInterface({ input: process.stdin })) {
  const command = line.trim();
  if (command === "stop") break;
  if (command) (commands[command] ?? (() => print({ error: `there is no command ${command}` })))();
}
await mock.stop();
// An input that stays open would keep the program alive.
process.stdin.destroy();
