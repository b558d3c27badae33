/**
 * The public API, and nothing beside it: whatever the console does, a script can.
 *
 * The key lives in this tab's session storage. It is sent in a header and goes nowhere else.
 */

const KEY = "tollgate-key";
const ENV = "tollgate-env";
const ROOT = new URL(".", location.href);

/** A refusal, in the API's words. `status` is 0 where no answer came. */
export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The key that this tab signed in with; null where none did. */
export const key = () => sessionStorage.getItem(KEY);

/** The environment that it opens: `sandbox` or `live`. */
export const environment = () => sessionStorage.getItem(ENV);

/** @param {string} text @param {string} env */
export function keepKey(text, env) {
  sessionStorage.setItem(KEY, text);
  sessionStorage.setItem(ENV, env);
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
  sessionStorage.removeItem(ENV);
}

/** What is heard in the window when the API knows the tab's key no more: it was revoked, or has expired. */
export const REFUSED = "tollgate-refused";

/** The API's address, as the examples show it. */
export const address = ROOT.href.replace(/\/$/, "");

/**
 * Calls `POST /v1/<name>`, or another method and path where `name` has a space.
 *
 * @param {string} name
 * @param {Record<string, unknown>} [body]
 * @param {{ key?: string | null, signal?: AbortSignal }} [how]
 * @returns {Promise<any>}
 */
export async function call(name, body = {}, how = {}) {
  const [method, path] = name.includes(" ") ? name.split(" ") : ["POST", name];
  /** @type {Response} */
  let answer;
  try {
    answer = await fetch(new URL(`v1/${path}`, ROOT), {
      method,
      headers: { authorization: `Bearer ${how.key ?? key()}`, "content-type": "application/json" },
      body: method === "GET" ? undefined : write(body),
      signal: how.signal,
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "no_answer", "The API did not answer. Nothing is known of what the call did.");
  }
  const text = await answer.text();
  if (answer.ok) return text ? parse(text) : null;
  if (answer.status === 401 && !how.key) dispatchEvent(new Event(REFUSED));
  const found = told(text);
  throw new ApiError(answer.status, found?.code ?? "", found?.message || `The API answered ${answer.status} ${answer.statusText}`.trim());
}

/** A refusal's body; null where it is not the API's own, but of something before it. @param {string} text */
function told(text) {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** A number that keeps every digit, as it was typed or answered. It reads as its text wherever a text is wanted. */
export class Amount {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
  /** As JSON: the same digits. */
  toJSON() {
    return /** @type {any} */ (JSON).rawJSON?.(this.text) ?? Number(this.text);
  }
  /** What somebody typed; where it is no number it stays text, which the API refuses. @param {string} text */
  static of(text) {
    const plain = text.trim();
    return /^-?(0|[1-9]\d*)(\.\d+)?$/.test(plain) ? new Amount(plain) : plain;
  }
  /** A number of JSON: plain where a float holds all of its digits. @param {string} text */
  static read(text) {
    return text.replace(/[eE].*$|^-?0*\.?0*|\D/g, "").length > 15 ? new Amount(text) : Number(text);
  }
}

/** JSON whose numbers keep every digit: what a float cannot hold is an {@link Amount}. @param {string} text */
export function parse(text) {
  return JSON.parse(text, /** @type {any} */ ((/** @type {string} */ _, /** @type {any} */ value, /** @type {any} */ at) =>
    typeof value === "number" && at?.source ? Amount.read(at.source) : value));
}

/** JSON that keeps every digit. @param {unknown} value @param {number} [indent] */
export const write = (value, indent) => JSON.stringify(value, null, indent);
