/** A plan's versions, any two of them compared, and who is on it. */
import { html, useState } from "../html.js";
import { difference } from "../plan-bodies.js";
import { Code, Field, Part, Problem, Table, Tag, useAnswers } from "../parts.js";
import { link } from "../router.js";

/** @param {{ of: any }} props */
export function Versions({ of }) {
  const [chosen, choose] = useState([of.version - 1, of.version]);
  if (of.version < 2) return null;
  const all = Array.from({ length: of.version }, (_, n) => of.version - n);
  /** @param {string} label @param {number} at */
  const field = (label, at) => html`<${Field} label=${label} name=${`version-${at}`}>${(/** @type {string} */ id) => html`
    <select id=${id} value=${chosen[at]} onChange=${(/** @type {any} */ event) => choose(chosen.map((each, n) => (n === at ? Number(event.target.value) : each)))}>
      ${all.map((each) => html`<option key=${each} value=${each}>${each}${each === of.version ? ", the newest" : ""}</option>`)}</select>`}<//>`;
  return html`<${Part} title=${`Versions of ${of.id}`}>
    <div class="line">${field("Version", 0)}${field("Compared with", 1)}</div>
    <${Difference} id=${of.id} chosen=${chosen} />
  <//>`;
}

/** @param {{ id: string, chosen: number[] }} props */
function Difference({ id, chosen }) {
  const [first, second] = chosen;
  const { data, error, busy, reload } = useAnswers({ first: ["plans.get", { plan_id: id, version: first }], second: ["plans.get", { plan_id: id, version: second }] });
  if (error) return html`<${Problem} error=${error} retry=${reload} />`;
  if (busy || !data) return html`<p class="wait" role="status">Reading …</p>`;
  const told = difference(data.first, data.second);
  return told ? html`<${Code} label="What changed" text=${told} />` : html`<p class="empty" role="status">They do not differ.</p>`;
}

const SHOWN = 10;

/** Who has the plan, the newest customers first. @param {{ of: any }} props */
export function Holders({ of }) {
  const { data, error, busy, reload } = useAnswers({ found: ["customers.list", { limit: SHOWN, plans: [{ id: of.id }] }] });
  const rows = (data?.found.list ?? []).flatMap((/** @type {any} */ each) => each.subscriptions.filter((/** @type {any} */ held) => held.plan_id === of.id).map((/** @type {any} */ held) => [
    html`<a href=${link(["customers", each.id])}>${each.id}</a>`,
    each.name,
    `version ${held.plan_version}`,
    html`<${Tag} kind=${held.status === "active" ? "good" : "plain"}>${held.status}<//>`,
  ]));
  return html`<${Part} title=${`Who is on ${of.id}`} aside=${html`<a href=${link(["customers"], { plan: of.id })}>All of them</a>`}>
    <${Problem} error=${error} retry=${reload} />
    <${Table} label=${`Customers on ${of.id}`} busy=${busy} empty="Nobody is." columns=${["Customer", "Name", "Version", "Status"]} rows=${rows} />
    ${data?.found.next_cursor && html`<p class="hint">There are more.</p>`}
  <//>`;
}
