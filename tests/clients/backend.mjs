// An application's own backend: it mounts autumn-js's handlers and says who the customer is (here, who the header says).
// `node backend.mjs <address> <key> <version of autumn-js>` prints its own address, and serves until its stdin ends.

import { createServer } from "node:http";
import { autumnHandler as handler0 } from "autumn-js-0/backend";
import { autumnHandler as handler1 } from "autumn-js/fetch";

const [address, secretKey, version] = process.argv.slice(2);

const named = (customerId) => (customerId ? { customerId, customerData: { name: "Ada" } } : null);

const handle1 = handler1({
  secretKey,
  autumnURL: address,
  identify: (request) => named(request.headers.get("x-customer")),
});

async function handle0(request) {
  const text = await request.text();
  const { statusCode, response } = await handler0({
    ...named(request.headers.get("x-customer")),
    clientOptions: { secretKey, url: `${address}/v1` },
    request: { url: request.url, method: request.method, body: text ? JSON.parse(text) : undefined },
  });
  return Response.json(response, { status: statusCode });
}

const handle = version === "0" ? handle0 : handle1;

const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = chunks.length ? Buffer.concat(chunks) : undefined;
  const url = `http://${incoming.headers.host}${incoming.url}`;
  const answer = await handle(new Request(url, { method: incoming.method, headers: incoming.headers, body }));
  outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
  outgoing.end(Buffer.from(await answer.arrayBuffer()));
});

console.log = console.error;
server.listen(0, "127.0.0.1", () => process.stdout.write(`http://127.0.0.1:${server.address().port}\n`));
process.stdin.resume().on("end", () => process.exit());
