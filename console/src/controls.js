/** Limits and alerts of a customer or an entity: as a table of what is in force, and as a form beside the same as JSON. */
import { Amount } from "./api.js";
import { FeatureOptions, useFeatures } from "./choices.js";
import { minus } from "./decimals.js";
import { Json, useBody } from "./editor.js";
import { html, useEffect, useRef } from "./html.js";
import { Bar, Field, Problem, Table, Tick, Told, usedAndLeft, useAction } from "./parts.js";
import { number, words } from "./words.js";

/** @typedef {Record<string, any[]>} Controls by kind */
/** @typedef {{ field: string, label: string, kind: "feature" | "amount" | "text" | "choice", choices?: [string, string][], optional?: string }} Part */

/** @type {Part} */
const FEATURE = { field: "feature_id", label: "Feature", kind: "feature" };
/** @type {(field: string, label: string, choices: [string, string][]) => Part} */
const choice = (field, label, choices) => ({ field, label, kind: "choice", choices });

/** What each kind asks for. @type {Record<string, { title: string, add: string, parts: Part[], first: Record<string, any> }>} */
const KINDS = {
  usage_limits: {
    title: "Usage limits",
    add: "Add a usage limit",
    first: { interval: "month" },
    parts: [
      FEATURE,
      { field: "limit", label: "At most", kind: "amount" },
      choice("interval", "In each", [["day", "day"], ["week", "week"], ["month", "month"], ["year", "year"]]),
      choice("anchor", "Counted from", [["billing_cycle", "the billing cycle"], ["utc", "the calendar, UTC"]]),
    ],
  },
  spend_limits: {
    title: "Spend limits",
    add: "Add a spend limit",
    first: {},
    parts: [
      { ...FEATURE, optional: "each without one of its own" },
      { field: "overage_limit", label: "Overage of at most", kind: "amount", optional: "no limit" },
      choice("limit_type", "In", [["absolute", "units"], ["usage_percentage", "percent of what was granted"]]),
    ],
  },
  usage_alerts: {
    title: "Alerts",
    add: "Add an alert",
    first: { threshold_type: "usage_percentage" },
    parts: [
      { ...FEATURE, optional: "every feature" },
      choice("threshold_type", "Told when", [["usage_percentage", "used percent reach"], ["usage", "used units reach"], ["remaining_percentage", "remaining percent fall to"], ["remaining", "remaining units fall to"]]),
      { field: "threshold", label: "Threshold", kind: "amount" },
      { field: "name", label: "Called", kind: "text", optional: "" },
    ],
  },
  overage_allowed: {
    title: "Overage",
    add: "Allow or forbid overage",
    first: {},
    parts: [FEATURE],
  },
};

/** @param {{ label: string, controls: Controls }} props */
export function ControlsTable({ label, controls }) {
  const all = Object.keys(KINDS).flatMap((kind) => (controls[kind] ?? []).map((/** @type {any} */ each) => ({ kind, ...each })));
  return html`<${Table} label=${label} empty="There are none." columns=${["Kind", "Feature", "Bound", "Used", "From"]}
    rows=${all.map((each) => [
      html`${words(each.kind)}${each.enabled === false ? html` <span class="quiet">off</span>` : ""}`,
      each.feature_id ?? html`<span class="quiet">every feature</span>`,
      bound(each),
      each.kind === "usage_limits" ? html`<${Bar} label=${`Usage limit of ${each.feature_id}`} parts=${usedAndLeft(each.usage, minus(each.limit, each.usage))} />` : null,
      each.source,
    ])} />`;
}

/** @param {any} control */
function bound(control) {
  if (control.kind === "spend_limits") return `${number(control.overage_limit)}${control.limit_type === "usage_percentage" ? " percent" : ""} of overage`;
  if (control.kind === "usage_limits") return `${number(control.limit)} a ${words(control.interval)}`;
  if (control.kind === "usage_alerts") return `${words(control.threshold_type)} ${number(control.threshold)}${control.name ? `: ${control.name}` : ""}`;
  return control.enabled === false ? "no overage" : "overage allowed";
}

/** Its own controls, as they are sent back: without what others gave, and what only an answer has. @param {Controls} controls @returns {Controls} */
const ownOf = (controls) =>
  Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, (controls[kind] ?? []).filter((each) => each.source === "customer").map(({ source, usage, ...rest }) => rest)]));

/**
 * The form; what it sends takes the place of all that there was.
 *
 * @param {{ name: string, controls: Controls, call: string, who: Record<string, string>, changed: () => void }} props `call` changes the controls of `who`
 */
export function ControlsForm({ name, controls, call, who, changed }) {
  const own = JSON.stringify(ownOf(controls));
  const editor = useBody(ownOf(controls));
  const action = useAction(changed);
  const { features, error, reload } = useFeatures("used");
  const shown = useRef(own);
  useEffect(() => { // what was saved, or somebody else changed; not the first time, as something may be typed by then
    if (shown.current !== own) editor.restart(ownOf(controls));
    shown.current = own;
  }, [own]);
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    action.act("The limits and alerts were changed.", call, { ...who, billing_controls: editor.body });
  };
  return html`<form class="two" onSubmit=${save} aria-label=${`Change the limits and alerts of ${name}`}>
    <div>
      <${Problem} error=${error} retry=${reload} />
      ${Object.entries(KINDS).map(([kind, spec]) => html`<${Kind} key=${kind} kind=${kind} spec=${spec} features=${features} rows=${listOf(editor.body[kind])}
        change=${(/** @type {any[]} */ rows) => editor.change({ [kind]: rows })} />`)}
      <button class="main" disabled=${action.busy || Boolean(editor.problem)}>Save</button>
      <${Told} action=${action} />
    </div>
    <${Json} editor=${editor} rows=${16} />
  </form>`;
}

/** The rows of a kind, of JSON that may be anything. @param {unknown} value @returns {any[]} */
const listOf = (value) => (Array.isArray(value) ? value.filter((each) => typeof each === "object" && each !== null) : []);

/** @param {{ kind: string, spec: typeof KINDS[string], features: any[], rows: any[], change: (rows: any[]) => void }} props */
function Kind({ kind, spec, features, rows, change }) {
  /** @param {number} at @param {string} field @param {unknown} value */
  const set = (at, field, value) => change(rows.map((row, n) => (n === at ? without({ ...row, [field]: value }) : row)));
  const add = () => change([...rows, { ...(spec.parts[0].optional === undefined && { feature_id: features[0]?.id ?? "" }), ...spec.first, enabled: true }]);
  return html`<fieldset><legend>${spec.title}</legend>
    ${rows.map((row, at) => html`<div class="line item" key=${at}>
      ${spec.parts.map((part) => html`<${Input} key=${part.field} part=${part} name=${`${kind}-${at}-${part.field}`} value=${row[part.field]} features=${features} set=${(/** @type {unknown} */ value) => set(at, part.field, value)} />`)}
      <${Tick} name=${`${kind}-${at}-on`} label=${kind === "overage_allowed" ? "Allowed" : "On"} checked=${row.enabled !== false} onChange=${(/** @type {any} */ event) => set(at, "enabled", event.target.checked)} />
      <button type="button" class="small" aria-label=${`Remove ${spec.title.toLowerCase()} ${at + 1}`} onClick=${() => change(rows.filter((_, n) => n !== at))}>Remove</button>
    </div>`)}
    <button type="button" onClick=${add}>${spec.add}</button>
  </fieldset>`;
}

/** An object without what is not set. @param {Record<string, unknown>} row */
const without = (row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined));

/** @param {{ part: Part, name: string, value: any, features: any[], set: (value: unknown) => void }} props */
const Input = ({ part, name, value, features, set }) => {
  const optional = part.optional !== undefined;
  const heard = (/** @type {any} */ event) => set(event.target.value === "" && optional ? undefined : part.kind === "amount" ? Amount.of(event.target.value) : event.target.value);
  if (part.kind === "feature") {
    return html`<${Field} label=${part.label} name=${name}>${(/** @type {string} */ id) => html`<select id=${id} value=${value ?? ""} required=${!optional} onChange=${heard}>
      <${FeatureOptions} features=${features} value=${value} none=${part.optional} /></select>`}<//>`;
  }
  if (part.kind === "choice") {
    return html`<${Field} label=${part.label} name=${name}>${(/** @type {string} */ id) => html`<select id=${id} value=${value ?? part.choices?.[0][0]} onChange=${heard}>
      ${part.choices?.map(([each, said]) => html`<option key=${each} value=${each}>${said}</option>`)}</select>`}<//>`;
  }
  return html`<${Field} label=${part.label} name=${name} value=${value ?? ""} inputmode=${part.kind === "amount" ? "decimal" : undefined} required=${!optional} placeholder=${part.optional} onInput=${heard} />`;
};
