/** API: the reference, of the stack's own OpenAPI documents. */
import { address } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { Code, Field, Head, Part, Problem } from "../parts.js";

const DOCUMENTS = ["tollgate", "autumn", "flexprice", "lotus"];

/** @param {string} name */
function useDocument(name) {
  const [state, set] = useState(/** @type {{ name: string, found: any, error: Error | null }} */ ({ name: "", found: null, error: null }));
  useEffect(() => {
    const abort = new AbortController();
    fetch(`${address}/openapi/${name}.json`, { credentials: "omit", signal: abort.signal })
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`The document was not served (${answer.status}).`))))
      .then((found) => set({ name, found, error: null }), (error) => abort.signal.aborted || set({ name, found: null, error }));
    return () => abort.abort();
  }, [name]);
  return state.name === name ? state : { name, found: null, error: null };
}

export function Api() {
  const [name, choose] = useState(DOCUMENTS[0]);
  const [search, find] = useState("");
  const { found, error } = useDocument(name);
  const routes = Object.entries(found?.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(/** @type {any} */ (methods)).filter(([, operation]) => operation.summary).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })));
  const shown = routes.filter(({ path, operation }) => `${path} ${operation.summary}`.toLowerCase().includes(search.toLowerCase()));
  return html`
    <${Head} title="API"><p class="quiet">Whatever this console does, a script can. With every field: <a href=${`${address}/docs`}>the reference</a>.</p><//>
    <form class="line" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <${Field} label="Dialect" name="dialect">${(/** @type {string} */ id) => html`<select id=${id} value=${name} onChange=${(/** @type {any} */ event) => choose(event.target.value)}>
        ${DOCUMENTS.map((each) => html`<option value=${each}>${each}</option>`)}</select>`}<//>
      <${Field} label="Route" name="route" type="search" value=${search} onInput=${(/** @type {any} */ event) => find(event.target.value)} />
    </form>
    <${Problem} error=${error} />
    ${!found && !error && html`<p class="wait" role="status">Reading …</p>`}
    ${found && html`<${Part} title=${`${shown.length} routes`}><ul class="plain">${shown.map(({ method, path, operation }) => html`<li><details>
      <summary><code>${method} ${path}</code> ${operation.summary}</summary><${Route} method=${method} path=${path} operation=${operation} scheme=${found.components.securitySchemes.key} /></details></li>`)}</ul><//>`}`;
}

/** @param {{ method: string, path: string, operation: any, scheme: any }} props `scheme`: where the dialect has its key */
function Route({ method, path, operation, scheme }) {
  const sent = first(operation.requestBody);
  const [, answer] = Object.entries(operation.responses ?? {}).find(([status]) => status.startsWith("2")) ?? [];
  const answered = first(answer);
  const key = scheme.type === "apiKey" ? `${scheme.name}: ` : "Authorization: Bearer ";
  const asked = /** @type {any[]} */ (operation.parameters ?? []).filter((each) => each.in === "query" && each.required && each.example !== undefined);
  const query = asked.map((each) => `${each.name}=${encodeURIComponent(each.example)}`).join("&");
  const verb = method === (sent ? "POST" : "GET") ? "" : `-X ${method} `; // what curl makes of it unasked
  const curl = `curl -s ${verb}"${address}${path}${query && `?${query}`}" -H "${key}$TOLLGATE_SECRET_KEY"${sent ? ` \\\n  -d '${JSON.stringify(sent).replaceAll("'", "'\\''")}'` : ""}`;
  return html`<div class="stack">
    ${operation.description && html`<p>${operation.description}</p>`}
    <${Code} label=${`${method} ${path} with curl`} text=${curl} />
    ${answered && html`<${Code} label=${`The answer to ${method} ${path}`} text=${JSON.stringify(answered, null, 2)} />`}
  </div>`;
}

/** The first example of a body. @param {any} part */
function first(part) {
  const json = part?.content?.["application/json"];
  const examples = Object.values(json?.examples ?? {});
  return json?.example ?? /** @type {any} */ (examples[0])?.value ?? null;
}
