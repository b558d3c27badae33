/** Features: listed, created and changed. */
import { Json, useBody } from "../editor.js";
import { html, useState } from "../html.js";
import { Field, Head, Part, Problem, Table, Tag, Tick, Told, useAction, useAnswers } from "../parts.js";
import { words } from "../words.js";

const NEW = { feature_id: "", name: "", type: "metered", consumable: true };
const TYPES = ["metered", "boolean", "static", "credit_system"];

export function Features() {
  const { data, error, busy, reload } = useAnswers({ features: ["features.list", { include_archived: true }] });
  const [edited, edit] = useState("");
  const list = data?.features.list ?? [];
  return html`
    <${Head} title="Features" />
    <${Problem} error=${error} retry=${reload} />
    <${Table} label="Features" busy=${busy} empty="There are none yet." columns=${["Feature", "Name", "Type", "Pays for", ""]}
      rows=${list.map((/** @type {any} */ feature) => [
        feature.id,
        feature.name,
        html`${words(feature.type)}${feature.type === "metered" ? html` <span class="quiet">${feature.consumable ? "consumed" : "allocated"}</span>` : ""}${feature.archived ? html` <${Tag} kind="plain">archived<//>` : ""}`,
        (feature.credit_schema ?? []).map((/** @type {any} */ each) => `${each.metered_feature_id} at ${each.credit_cost}`).join(", ") || null,
        html`<span class="actions"><button type="button" class="small" aria-label=${`Edit ${feature.id}`} onClick=${() => edit(feature.id)}>Edit</button></span>`,
      ])} />
    <${Editor} key=${edited} of=${list.find((/** @type {any} */ each) => each.id === edited)} changed=${reload} close=${() => edit("")} />`;
}

/** @param {{ of: any, changed: () => void, close: () => void }} props */
function Editor({ of, changed, close }) {
  const first = of ? { feature_id: of.id, name: of.name, ...(of.type === "metered" && { event_names: of.event_names }), ...(of.credit_schema && { credit_schema: of.credit_schema }), archived: of.archived } : NEW;
  const editor = useBody(first);
  const action = useAction(changed);
  const { body } = editor;
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const did = await action.act(`${body.feature_id} was ${of ? "changed" : "created"}.`, of ? "features.update" : "features.create", body);
    if (did && !of) editor.restart(NEW);
  };
  /** @param {string} name */
  const text = (name) => (/** @type {any} */ event) => editor.change({ [name]: event.target.value });
  return html`<${Part} title=${of ? `Change ${of.id}` : "New feature"} opened=${Boolean(of)} aside=${of && html`<button type="button" class="small" onClick=${close}>Close</button>`}>
    <form class="two" onSubmit=${save}>
      <div>
        <${Field} label="Id" name="feature_id" value=${body.feature_id} onInput=${text("feature_id")} required readonly=${Boolean(of)} />
        <${Field} label="Name" name="name" value=${body.name} onInput=${text("name")} required />
        ${!of && html`<${Field} label="Type" name="type">${(/** @type {string} */ id) => html`<select id=${id} value=${body.type} onChange=${(/** @type {any} */ event) => editor.change({ type: event.target.value, consumable: event.target.value === "metered" ? true : undefined })}>
          ${TYPES.map((type) => html`<option value=${type}>${words(type)}</option>`)}</select>`}<//>`}
        ${!of && body.type === "metered" && html`<${Tick} name="consumable" label="Its usage resets with the period (else it is allocated, such as seats)" checked=${body.consumable} onChange=${(/** @type {any} */ event) => editor.change({ consumable: event.target.checked })} />`}
        <button class="main" disabled=${action.busy || Boolean(editor.problem)}>${of ? "Save" : "Create"}</button>
      </div>
      <${Json} editor=${editor} rows=${8} />
    </form>
    <${Told} action=${action} />
  <//>`;
}
