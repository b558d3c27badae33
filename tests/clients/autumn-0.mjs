// A server that uses autumn-js 0.1 (API 1.2): `node autumn-0.mjs <address> <key>`, then lines `["customers.get", "id"]`.
// The client gives `{data, error, statusCode}`.

import { Autumn } from "autumn-js-0";
import { method, serve } from "./program.mjs";

const [address, secretKey] = process.argv.slice(2);
const autumn = new Autumn({ url: `${address}/v1`, secretKey });

await serve((what, ...rest) => method(autumn, what)(...rest));
