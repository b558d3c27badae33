// A server that uses autumn-js 1.3: `node autumn.mjs <address> <key>`, then lines `["customers.getOrCreate", {...}]`.

import { Autumn } from "autumn-js";
import { method, serve } from "./program.mjs";

const [serverURL, secretKey] = process.argv.slice(2);
// It would allow what it cannot ask about, and wait for 5 s.
const autumn = new Autumn({ serverURL, secretKey, failOpen: false, timeoutMs: 30_000 });

await serve((what, ...rest) => method(autumn, what)(...rest));
