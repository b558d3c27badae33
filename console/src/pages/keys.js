/** Keys: created, which shows one once, and revoked. */
import { html, useState } from "../html.js";
import { Code, Field, Head, Part, Problem, Table, Tag, Told, When, typed, useAction, useAnswers } from "../parts.js";

export function Keys() {
  const { data, error, busy, reload } = useAnswers({ keys: ["keys.list", {}] });
  const action = useAction(reload);
  const [made, show] = useState("");
  const create = async (/** @type {Event} */ event) => {
    const { name, scope } = typed(event);
    const answer = await action.act("The key was created. It is shown this once.", "keys.create", { name, scope });
    show(answer?.key ?? "");
  };
  /** @param {any} key */
  const revoke = (key) => {
    if (!confirm(`Revoke ${key.name || key.id}? What uses it will be refused.`)) return;
    show("");
    action.act(`${key.name || key.id} was revoked. API Gateway may remember it for a minute.`, "keys.revoke", { key_id: key.id });
  };
  return html`
    <${Head} title="Keys" />
    <${Problem} error=${error} retry=${reload} />
    <${Table} label="Keys" busy=${busy} empty="There are none." columns=${["Key", "Name", "Scope", "Since", "Last used", "Expires", ""]}
      rows=${(data?.keys.list ?? []).map((/** @type {any} */ key) => [
        html`<code>${key.hint}</code>`,
        key.name,
        html`<${Tag} kind="plain">${key.scope}<//>`,
        html`<${When} at=${key.created_at} />`,
        key.last_used_at ? html`<${When} at=${key.last_used_at} relative />` : html`<span class="quiet">not yet</span>`,
        key.expires_at ? html`<${When} at=${key.expires_at} relative />` : null,
        html`<span class="actions"><button type="button" class="small danger" aria-label=${`Revoke ${key.name || key.id}`} onClick=${() => revoke(key)}>Revoke</button></span>`,
      ])} />
    <${Part} title="New key">
      <form class="line" onSubmit=${create}>
        <${Field} label="Name" name="name" required />
        <${Field} label="Scope" name="scope">${(/** @type {string} */ id) => html`<select id=${id} name="scope"><option value="secret">secret: everything</option><option value="publishable">publishable: checks alone</option></select>`}<//>
        <button class="main" disabled=${action.busy}>Create</button>
      </form>
      <${Told} action=${action} />
      ${made && html`<${Code} label="The new key" text=${made} />`}
    <//>`;
}
