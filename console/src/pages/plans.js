/** Plans: listed, created and changed, as a form and as JSON. */
import { Amount } from "../api.js";
import { Json, useBody } from "../editor.js";
import { html, useState } from "../html.js";
import { link } from "../router.js";
import { Field, Head, Part, Problem, Table, Tag, Tick, Told, useAction, useAnswers } from "../parts.js";
import { bodyOf } from "../plan-bodies.js";
import { Holders, Versions } from "./plan-versions.js";

const NEW = { plan_id: "", name: "", group: "main", items: [] };
const INTERVALS = ["month", "day", "hour", "week", "quarter", "year", "one_off"];

export function Plans() {
  const { data, error, busy, reload } = useAnswers({ plans: ["plans.list", {}], features: ["features.list", {}] });
  const [edited, edit] = useState("");
  const list = data?.plans.list ?? [];
  return html`
    <${Head} title="Plans" />
    <${Problem} error=${error} retry=${reload} />
    <${Table} label="Plans" busy=${busy} empty="There are none yet." columns=${["Plan", "Name", "Group", "Version", "Items", ""]}
      rows=${list.map((/** @type {any} */ plan) => [
        plan.id,
        html`${plan.name}${plan.auto_enable ? html` <${Tag} kind="plain">automatic<//>` : ""}`,
        plan.add_on ? "add-on" : plan.group,
        plan.version,
        plan.items.map((/** @type {any} */ item) => item.display?.primary_text ?? item.feature_id).join(", ") || null,
        html`<span class="actions"><a href=${link(["customers"], { plan: plan.id })} aria-label=${`Customers on ${plan.id}`}>Customers</a>
          <button type="button" class="small" aria-label=${`Edit ${plan.id}`} onClick=${() => edit(plan.id)}>Edit</button></span>`,
      ])} />
    ${data && html`<${Editor} key=${edited} of=${list.find((/** @type {any} */ each) => each.id === edited)} features=${data.features.list} changed=${reload} close=${() => edit("")} />`}`;
}

/** @param {{ of: any, features: any[], changed: () => void, close: () => void }} props */
function Editor({ of, features, changed, close }) {
  const editor = useBody(of ? bodyOf(of) : NEW);
  const action = useAction(changed);
  const { body } = editor;
  const items = Array.isArray(body.items) ? body.items : [];
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const did = await action.act(`${body.plan_id} was ${of ? "changed" : "created"}.`, of ? "plans.update" : "plans.create", body);
    if (did && !of) editor.restart(NEW);
  };
  /** @param {string} name */
  const text = (name) => (/** @type {any} */ event) => editor.change({ [name]: event.target.value });
  /** @param {string} name */
  const box = (name) => (/** @type {any} */ event) => editor.change({ [name]: event.target.checked || undefined });
  /** @param {number} at @param {any} change */
  const item = (at, change) => editor.change({ items: items.map((each, n) => (n === at ? { ...each, ...change } : each)) });
  return html`<${Part} title=${of ? `Change ${of.id}` : "New plan"} opened=${Boolean(of)} aside=${of && html`<button type="button" class="small" onClick=${close}>Close</button>`}>
    ${of && html`<p class="hint">Where customers have it, a change of its items makes a new version; they stay on theirs.</p>`}
    <form class="two" onSubmit=${save}>
      <div>
        <${Field} label="Id" name="plan_id" value=${body.plan_id} onInput=${text("plan_id")} required readonly=${Boolean(of)} />
        <${Field} label="Name" name="name" value=${body.name} onInput=${text("name")} required />
        <${Field} label="Group" name="group" value=${body.group ?? ""} onInput=${text("group")} hint="Main plans of one group replace each other." />
        <${Tick} name="add_on" label="Add-on: stands beside the main plan" checked=${Boolean(body.add_on)} onChange=${box("add_on")} />
        <${Tick} name="auto_enable" label="Automatic: every new customer gets it" checked=${Boolean(body.auto_enable)} onChange=${box("auto_enable")} />
        <fieldset><legend>Items</legend>
          ${items.map((/** @type {any} */ each, /** @type {number} */ at) => html`<${Item} key=${at} at=${at} item=${each} features=${features} change=${(/** @type {any} */ change) => item(at, change)}
            remove=${() => editor.change({ items: items.filter((_, n) => n !== at) })} />`)}
          <button type="button" onClick=${() => editor.change({ items: [...items, { feature_id: features[0]?.id ?? "" }] })}>Add an item</button>
        </fieldset>
        <button class="main" disabled=${action.busy || Boolean(editor.problem)}>${of ? "Save" : "Create"}</button>
      </div>
      <${Json} editor=${editor} rows=${18} />
    </form>
    <${Told} action=${action} />
  <//>
  ${of && html`<${Versions} key=${`versions ${of.version}`} of=${of} /><${Holders} of=${of} />`}`;
}

/** @param {{ at: number, item: any, features: any[], change: (change: any) => void, remove: () => void }} props */
function Item({ at, item, features, change, remove }) {
  const feature = features.find((each) => each.id === item.feature_id);
  const metered = feature && !["boolean", "static"].includes(feature.type);
  return html`<div class="line item">
    <${Field} label=${`Feature ${at + 1}`} name=${`item-${at}`}>${(/** @type {string} */ id) => html`<select id=${id} value=${item.feature_id} onChange=${(/** @type {any} */ event) => change({ feature_id: event.target.value, included: undefined, reset: undefined, unlimited: undefined })}>
      ${features.map((each) => html`<option value=${each.id}>${each.name || each.id}</option>`)}</select>`}<//>
    ${metered && html`<${Field} label="Included" name=${`included-${at}`} inputmode="decimal" value=${item.included ?? ""} onInput=${(/** @type {any} */ event) => change({ included: event.target.value ? Amount.of(event.target.value) : undefined, unlimited: undefined })} />`}
    ${metered && feature.consumable !== false && html`<${Field} label="Resets" name=${`reset-${at}`}>${(/** @type {string} */ id) => html`<select id=${id} value=${item.reset?.interval ?? "one_off"} onChange=${(/** @type {any} */ event) => change({ reset: event.target.value === "one_off" ? undefined : { interval: event.target.value } })}>
      ${INTERVALS.map((each) => html`<option value=${each}>${each === "one_off" ? "never" : `every ${each}`}</option>`)}</select>`}<//>`}
    ${metered && html`<${Tick} name=${`unlimited-${at}`} label="Unlimited" checked=${Boolean(item.unlimited)} onChange=${(/** @type {any} */ event) => change(event.target.checked ? { unlimited: true, included: undefined, reset: undefined } : { unlimited: undefined })} />`}
    <button type="button" class="small" aria-label=${`Remove item ${at + 1}`} onClick=${remove}>Remove</button>
  </div>`;
}
