// A server that uses @flexprice/sdk: `node flexprice.mjs <address> <key>`, then lines `["customers.createCustomer", {...}]`.

import { Flexprice } from "@flexprice/sdk";
import { method, serve } from "./program.mjs";

const [address, apiKeyAuth] = process.argv.slice(2);
const flexprice = new Flexprice({ serverURL: `${address}/v1`, apiKeyAuth, timeoutMs: 30_000 });

await serve((what, ...rest) => method(flexprice, what)(...rest));
