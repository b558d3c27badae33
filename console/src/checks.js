/** A check's parameters: the form that asks for them, the body they make, and the same call in code. */
import { Amount, address, parse, write } from "./api.js";
import { html } from "./html.js";
import { Field, Tick } from "./parts.js";

/** @typedef {Record<string, string>} Asked */

/**
 * The body of a check.
 *
 * @param {Asked} asked what was typed
 */
export function bodyOf({ customer, feature, entity, amount, properties, counts }) {
  return {
    customer_id: customer,
    feature_id: feature,
    ...(entity && { entity_id: entity }),
    ...(amount && { required_balance: Amount.of(amount) }),
    ...(properties && { properties: object(properties) }),
    ...(counts && { send_event: true }),
  };
}

/** Properties as they were typed. @param {string} text */
function object(text) {
  try {
    return parse(text);
  } catch (error) {
    throw new Error(`The properties are no JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * @param {{ asked: Asked, features: any[], submit: (event: Event) => void, busy: boolean, children?: any }} props
 */
export const CheckForm = ({ asked, features, submit, busy, children }) => html`<form onSubmit=${submit}>
  <div class="grid">
    <${Field} label="Customer" name="customer" defaultValue=${asked.customer ?? ""} required />
    <${Field} label="Feature" name="feature" defaultValue=${asked.feature ?? ""} list="features" required />
    <${Field} label="Entity" name="entity" defaultValue=${asked.entity ?? ""} hint="Where one of its entities asks." />
    <${Field} label="Required balance" name="amount" defaultValue=${asked.amount ?? ""} inputmode="decimal" hint="1 unless told." />
    <${Field} label="Properties" name="properties" defaultValue=${asked.properties ?? ""} hint='JSON, such as {"region": "eu"}.' />
  </div>
  <datalist id="features">${features.map((feature) => html`<option value=${feature.id}>${feature.name}</option>`)}</datalist>
  <${Tick} name="counts" label="Count the use in the same step (send_event)" defaultChecked=${Boolean(asked.counts)} />
  <p class="actions"><button class="main" disabled=${busy}>${children}</button></p>
</form>`;

/** The same call as a program makes it. @param {string} name @param {Record<string, unknown>} body */
export function inCode(name, body) {
  const json = write(body, 2) ?? "{}";
  return {
    curl: `curl -s ${address}/v1/${name} \\\n  -H "Authorization: Bearer $TOLLGATE_SECRET_KEY" \\\n  -d '${json.replaceAll("'", "'\\''")}'`,
    Python: `import os\n\nfrom autumn_sdk import Autumn\n\nautumn = Autumn(secret_key=os.environ["TOLLGATE_SECRET_KEY"], server_url="${address}")\ncheck = autumn.check(\n${python(body)})\nprint(check.allowed)`,
    JavaScript: `import { Autumn } from "autumn-js";\n\nconst autumn = new Autumn({ secretKey: process.env.TOLLGATE_SECRET_KEY, serverURL: "${address}" });\nconst check = await autumn.check(${camel(body)});\nconsole.log(check.allowed);`,
  };
}

/** @param {Record<string, unknown>} body */
function python(body) {
  const lines = Object.entries(body).map(([name, value]) => `    ${name}=${literal(value)},\n`);
  return lines.join("");
}

/** A value as Python writes it. @param {unknown} value @returns {string} */
function literal(value) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (value instanceof Amount) return value.text;
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(/** @type {object} */ (value)).map(([name, each]) => `${JSON.stringify(name)}: ${literal(each)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** The body with the names that autumn-js gives its fields. @param {Record<string, unknown>} body */
function camel(body) {
  const renamed = Object.entries(body).map(([name, value]) => [name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()), value]);
  return write(Object.fromEntries(renamed), 2);
}
