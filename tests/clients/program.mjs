// What every program here does with its stdin: each line is JSON, `[what, ...arguments]`, and is answered with one line of JSON on
// stdout: what the call gave, or `{"error": {...}}`.

import { createInterface } from "node:readline";

console.log = console.info = console.error; // the clients' own words do not belong among the answers

export async function serve(call) {
  for await (const line of createInterface({ input: process.stdin })) {
    const [what, ...rest] = JSON.parse(line);
    let answer;
    try {
      answer = await call(what, ...rest);
    } catch (error) {
      answer = { error: described(error) };
    }
    process.stdout.write(`${JSON.stringify(answer ?? null)}\n`);
  }
  process.exit(); // whatever a client still keeps open
}

// The method of a client that a dotted name leads to.
export function method(client, name) {
  const names = name.split(".");
  const last = names.pop();
  const owner = names.reduce((found, part) => found[part], client);
  return (...rest) => owner[last](...rest);
}

function described(error) {
  const { name, message, code, statusCode, body, cause } = error;
  return { name, message, code, status: statusCode, body: parsed(body), issues: cause?.issues }; // what an answer lacks
}

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
