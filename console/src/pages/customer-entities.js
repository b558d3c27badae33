/** A customer's entities: made, their limits changed, and deleted. */
import { FeatureField } from "../choices.js";
import { ControlsForm, ControlsTable } from "../controls.js";
import { html, useState } from "../html.js";
import { Field, Opened, Part, Problem, Table, Told, When, typed, useAction, useAnswers } from "../parts.js";
import { link } from "../router.js";

/** @param {{ customer: any, changed: () => void }} props */
export function Entities({ customer, changed }) {
  const [shown, show] = useState("");
  const action = useAction(changed);
  const all = customer.entities ?? [];
  const create = async (/** @type {Event} */ event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    const { entity_id, feature_id, name } = typed(event);
    const body = { customer_id: customer.id, entity_id, feature_id, ...(name && { name }) };
    if (await action.act(`${entity_id} was created.`, "entities.create", body)) form.reset();
  };
  /** @param {string} id */
  const remove = (id) => {
    if (!confirm(`Delete ${id}? Its plans and what it was granted go with it.`)) return;
    if (id === shown) show("");
    action.act(`${id} was deleted.`, "entities.delete", { customer_id: customer.id, entity_id: id });
  };
  return html`<${Part} title="Entities">
    <${Table} label="Entities" empty="There are none." columns=${["Entity", "Name", "Feature", "Since", ""]}
      rows=${all.map((/** @type {any} */ each) => [
        each.id,
        each.name,
        each.feature_id,
        html`<${When} at=${each.created_at} />`,
        html`<span class="actions"><a href=${link(["try"], { customer: customer.id, entity: each.id })} aria-label=${`Try it as ${each.id}`}>Try it</a>
          <button type="button" class="small" aria-expanded=${shown === each.id ? "true" : "false"} aria-label=${`Limits of ${each.id}`} onClick=${() => show(shown === each.id ? "" : each.id)}>Limits</button>
          <button type="button" class="small danger" disabled=${action.busy} aria-label=${`Delete ${each.id}`} onClick=${() => remove(each.id)}>Delete</button></span>`,
      ])} />
    ${all.some((/** @type {any} */ each) => each.id === shown) && html`<${EntityLimits} key=${shown} customer_id=${customer.id} entity_id=${shown} />`}
    <${Opened} title="New entity">${() => html`
      <form class="line" onSubmit=${create}>
        <${Field} label="Entity" name="entity_id" required />
        <${Field} label="Its name" name="name" />
        <${FeatureField} label="Feature that counts it" name="feature_id" kind="counting" />
        <button class="main" disabled=${action.busy}>Create</button>
      </form>`}<//>
    <${Told} action=${action} />
  <//>`;
}

/** @param {{ customer_id: string, entity_id: string }} props */
function EntityLimits({ customer_id, entity_id }) {
  const { data, error, reload } = useAnswers({ entity: ["entities.get", { customer_id, entity_id }] });
  const label = `Limits of ${entity_id}`;
  return html`<section class="stack" aria-label=${label}><h3>${label}</h3>
    <${Problem} error=${error} retry=${reload} />
    ${!data && !error && html`<p class="wait" role="status">Reading …</p>`}
    ${data && html`<${ControlsTable} label=${label} controls=${data.entity.billing_controls ?? {}} />
      <${ControlsForm} name=${entity_id} controls=${data.entity.billing_controls ?? {}} call="entities.update" who=${{ customer_id, entity_id }} changed=${reload} />`}
  </section>`;
}
