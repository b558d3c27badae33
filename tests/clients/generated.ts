// An application over a client that openapi-typescript made of docs/openapi/autumn.json: compiled with --strict, then run.
import createClient from "openapi-fetch";
import type { paths } from "./autumn.d.ts";

declare const process: { argv: string[] };

const [url, key] = process.argv.slice(2) as [string, string];
const api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });
const id = `generated-ts-${Date.now()}`;

function known<T>(answer: { data?: T; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.status} of ${answer.response.url}`);
  return answer.data;
}

// A check of a product answers without a balance.
const remaining = (answer: { allowed: boolean; balance?: { remaining: number } | null }) => answer.balance?.remaining;

known(await api.POST("/v1/features.create", { body: { feature_id: id, name: "Messages", type: "metered", consumable: true } }));
known(
  await api.POST("/v1/plans.create", {
    body: { plan_id: id, name: "Plan", items: [{ feature_id: id, included: 100, reset: { interval: "month" } }] },
  }),
);
known(await api.POST("/v1/customers.get_or_create", { body: { customer_id: id } }));
const attached = known(await api.POST("/v1/billing.attach", { body: { customer_id: id, plan_id: id } }));
const use = { customer_id: id, feature_id: id };
const counted = known(await api.POST("/v1/balances.check", { body: { ...use, required_balance: 10, send_event: true } }));
const tracked = known(await api.POST("/v1/balances.track", { body: { ...use, value: 5, async: false } }));
const held = known(
  await api.POST("/v1/balances.check", { body: { ...use, required_balance: 20, lock: { enabled: true, lock_id: id } } }),
);
const finalized = known(
  await api.POST("/v1/balances.finalize", { body: { lock_id: id, action: "confirm", override_value: 8 } }),
);
const after = known(await api.POST("/v1/balances.check", { body: use }));
const refused = await api.POST("/v1/balances.check", { body: { ...use, customer_id: `${id}-unknown` } });
const code = refused.error && "code" in refused.error ? refused.error.code : undefined;

console.log(
  JSON.stringify({
    attached: attached.customer_id === id,
    counted: remaining(counted),
    tracked: tracked.balance?.remaining,
    held: remaining(held),
    finalized: finalized.success,
    after: remaining(after),
    refused: [refused.response.status, code],
  }),
);
