/** A customer's usage by day and by a property; asked for when it is opened. */
import { Chart, colour } from "../chart.js";
import { html, useState } from "../html.js";
import { Field, Part, Problem, Table, typed, useAnswers } from "../parts.js";
import { called, number } from "../words.js";

/** @param {{ customer: any }} props */
export function UsageByDay({ customer }) {
  const [opened, open] = useState(false);
  const ids = Object.keys(customer.balances);
  if (ids.length === 0) return null;
  return html`<${Part} title="Usage by day" aside=${!opened && html`<button type="button" class="small" onClick=${() => open(true)}>Show</button>`}>
    ${opened && html`<${Usage} customer=${customer} ids=${ids.slice(0, 100)} />`}
  <//>`;
}

/** @param {{ customer: any, ids: string[] }} props */
function Usage({ customer, ids }) {
  const [property, group] = useState("");
  const body = { customer_id: customer.id, feature_id: ids, range: "30d", bin_size: "day", ...(property && { group_by: `properties.${property}` }) };
  const { data, error, busy, reload } = useAnswers({ usage: ["events.aggregate", body] });
  const { list = [], total = {} } = data?.usage ?? {};
  const used = ids.filter((id) => total[id]?.count > 0);
  return html`
    <form class="line" onSubmit=${(/** @type {Event} */ event) => group(typed(event).property)}>
      <${Field} label="By property" name="property" defaultValue=${property} />
      <button>Group</button>
    </form>
    <${Problem} error=${error} retry=${reload} />
    ${busy && html`<p class="wait" role="status">Adding up …</p>`}
    ${!busy && used.length === 0 && html`<p class="empty">Nothing was used in 30 days.</p>`}
    ${used.map((id, n) => html`<figure class="chart">
      <figcaption><span class="dot" style=${{ background: colour(n) }}></span>${called(customer.balances[id].feature?.name, id)}: <strong>${number(total[id].sum)}</strong> in ${number(total[id].count)} uses</figcaption>
      <${Chart} label=${`${id} by day`} at=${list.map((/** @type {any} */ bin) => bin.period / 1000)} series=${[{ name: id, values: list.map((/** @type {any} */ bin) => Number(bin.values[id] ?? 0)), colour: colour(n) }]} />
    </figure>`)}
    ${property && used.length > 0 && html`<${Table} label=${`By ${property}`} empty="" columns=${[property, ...used]} rows=${groups(list, used)} />`}`;
}

/** What each value of the property used of each feature. @param {any[]} list @param {string[]} used */
function groups(list, used) {
  const names = [...new Set(list.flatMap((bin) => used.flatMap((id) => Object.keys(bin.grouped_values?.[id] ?? {}))))].sort();
  return names.map((name) => [
    name === "null" ? html`<span class="quiet">without it</span>` : name,
    ...used.map((id) => number(list.reduce((sum, bin) => sum + Number(bin.grouped_values?.[id]?.[name] ?? 0), 0))),
  ]);
}
