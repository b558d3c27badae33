/** A customer's limits and alerts: those in force, and its own to be edited as JSON. */
import { Json, useBody } from "../editor.js";
import { html } from "../html.js";
import { Bar, Part, Table, Told, useAction } from "../parts.js";
import { number, words } from "../words.js";

const KINDS = ["spend_limits", "usage_limits", "overage_allowed", "usage_alerts"];

/** @param {{ customer: any, changed: () => void }} props */
export function Limits({ customer, changed }) {
  const controls = customer.billing_controls ?? {};
  const action = useAction(changed);
  const editor = useBody(ownOf(controls));
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    action.act("The limits were changed.", "customers.update", { customer_id: customer.id, billing_controls: editor.body });
  };
  const all = KINDS.flatMap((kind) => (controls[kind] ?? []).map((/** @type {any} */ each) => ({ kind, ...each })));
  return html`<${Part} title="Limits and alerts">
    <${Table} label="Limits and alerts" empty="There are none." columns=${["Kind", "Feature", "Bound", "Used", "From"]}
      rows=${all.map((each) => [
        html`${words(each.kind)}${each.enabled === false ? html` <span class="quiet">off</span>` : ""}`,
        each.feature_id,
        bound(each),
        each.kind === "usage_limits" ? html`<${Bar} label=${`Usage limit of ${each.feature_id}`} parts=${[
          { kind: "used", name: "used", amount: each.usage },
          { kind: "left", name: "left", amount: Math.max(0, Number(each.limit) - Number(each.usage)) },
        ]} />` : null,
        each.source,
      ])} />
    <details><summary>Change the customer's own</summary>
      <form onSubmit=${save} class="stack"><${Json} editor=${editor} rows=${10} />
        <p class="hint">What a kind lists takes the place of all that the customer had of that kind.</p>
        <p><button class="main" disabled=${action.busy || Boolean(editor.problem)}>Save</button></p></form>
    </details>
    <${Told} action=${action} />
  <//>`;
}

/** The customer's own controls, as `customers.update` takes them. @param {Record<string, any[]>} controls */
function ownOf(controls) {
  return Object.fromEntries(KINDS.map((kind) => [kind, (controls[kind] ?? []).filter((each) => each.source === "customer").map(({ source, usage, ...rest }) => rest)]));
}

/** @param {any} control */
function bound(control) {
  if (control.kind === "spend_limits") return `${number(control.overage_limit)}${control.limit_type === "usage_percentage" ? " percent" : ""} of overage`;
  if (control.kind === "usage_limits") return `${number(control.limit)} a ${words(control.interval)}`;
  if (control.kind === "usage_alerts") return `${words(control.threshold_type)} ${number(control.threshold)}`;
  return control.enabled === false ? "no overage" : "overage allowed";
}
