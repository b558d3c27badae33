/** One customer: plans, balances with each grant, entities, reservations, and what happened last. Four requests. */
import { Amount } from "../api.js";
import { html, useState } from "../html.js";
import { Field, Head, Part, Problem, Table, Tag, Told, When, fieldsOf, typed, useAction, useAnswers, useLive } from "../parts.js";
import { link } from "../router.js";
import { Balances } from "./customer-balances.js";
import { Entities } from "./customer-entities.js";
import { Limits } from "./customer-limits.js";
import { UsageByDay } from "./customer-usage.js";
import { called, number, words } from "../words.js";

const EXPAND = ["entities", "subscriptions.plan", "balances.feature", "flags.feature"];

/** @param {{ id: string }} props */
export function Customer({ id }) {
  const { data, error, reload } = useAnswers({
    customer: ["customers.get", { customer_id: id, expand: EXPAND }],
    plans: ["plans.list", { customer_id: id }],
    log: ["customers.list_log", { customer_id: id, limit: 25 }],
    locks: ["balances.list_locks", { customer_id: id }],
  });
  const live = useLive(reload);
  if (!data) return html`<${Head} title=${id} /><${Problem} error=${error} retry=${reload} />${!error && html`<p class="wait" role="status">Reading …</p>`}`;
  const { customer, plans, log, locks } = data;
  return html`
    <${Head} title=${called(customer.name, customer.id)}>
      <p class="quiet">${customer.id}${customer.email && ` · ${customer.email}`} · since <${When} at=${customer.created_at} /></p>
      <p class="actions">
        <a class="button" href=${link(["try"], { customer: id })}>Try it</a>
        <a class="button" href=${link(["why"], { customer: id })}>Why</a>
        <button type="button" onClick=${reload}>Refresh</button>
        ${live}
      </p>
    <//>
    <${Problem} error=${error} retry=${reload} />
    <${HeldPlans} customer=${customer} plans=${plans.list} changed=${reload} />
    <${Balances} customer=${customer} changed=${reload} />
    <${Entities} customer=${customer} changed=${reload} />
    <${Reservations} locks=${locks.list} changed=${reload} />
    <${Limits} customer=${customer} changed=${reload} />
    <${UsageByDay} customer=${customer} />
    <${Log} id=${id} entries=${log.list} />
    ${customer.env === "sandbox" && html`<${Clock} id=${id} changed=${reload} />`}`;
}

/** @param {{ customer: any, plans: any[], changed: () => void }} props */
function HeldPlans({ customer, plans, changed }) {
  const action = useAction(changed);
  const [chosen, choose] = useState("");
  const [schedule, at] = useState("");
  /** @param {any} held @param {string} how @param {string} did */
  const change = (held, how, did) =>
    action.act(did, "billing.update", { customer_id: customer.id, subscription_id: held.id, cancel_action: how });
  const cancelNow = (/** @type {any} */ held) =>
    confirm(`Cancel ${held.plan_id} now? What it grants is gone at once.`) && change(held, "cancel_immediately", `${held.plan_id} was canceled.`);
  const offered = plans.find((plan) => plan.id === chosen);
  const prepaid = (offered?.items ?? []).filter((/** @type {any} */ item) => item.price?.billing_method === "prepaid");
  const attach = async (/** @type {Event} */ event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    const { plan_id, plan_schedule, ...rest } = typed(event);
    const bought = prepaid.filter((/** @type {any} */ item) => rest[`quantity-${item.feature_id}`])
      .map((/** @type {any} */ item) => ({ feature_id: item.feature_id, quantity: Amount.of(rest[`quantity-${item.feature_id}`]) }));
    const attached = await action.act(`${plan_id} was attached.`, "billing.attach", {
      customer_id: customer.id,
      plan_id,
      ...(plan_schedule && { plan_schedule }),
      ...(bought.length > 0 && { feature_quantities: bought }),
    });
    if (!attached) return;
    form.reset();
    choose("");
    at("");
  };
  return html`<${Part} title="Plans">
    <${Table} label="Plans" empty="No plan is attached." columns=${["Plan", "Status", "Since", "Period ends", ""]}
      rows=${customer.subscriptions.map((/** @type {any} */ held) => [
        html`${called(held.plan?.name, held.plan_id)} <span class="quiet">version ${held.plan_version}${held.add_on ? ", add-on" : ""}</span>`,
        html`<${Tag} kind=${held.status === "active" ? "good" : "plain"}>${held.status}<//>${held.canceled_at && held.expires_at && html` ends <${When} at=${held.expires_at} relative />`}`,
        html`<${When} at=${held.started_at} />`,
        held.current_period_end && html`<${When} at=${held.current_period_end} />`,
        html`<div class="actions">${held.canceled_at
          ? html`<button type="button" class="small" disabled=${action.busy} onClick=${() => change(held, "uncancel", `${held.plan_id} goes on.`)}>Undo the cancellation</button>`
          : html`<button type="button" class="small" disabled=${action.busy} onClick=${() => change(held, "cancel_end_of_cycle", `${held.plan_id} ends with its cycle.`)}>Cancel at the end</button>`}
          <button type="button" class="small danger" disabled=${action.busy} onClick=${() => cancelNow(held)}>Cancel now</button></div>`,
      ])} />
    <form class="line" onSubmit=${attach}>
      <${Field} label="Attach a plan" name="plan_id">${(/** @type {string} */ id) => html`
        <select id=${id} name="plan_id" required onChange=${(/** @type {any} */ event) => choose(event.target.value)}>
          <option value="">Choose a plan</option>
          ${plans.filter((plan) => !plan.archived).map((plan) => html`<option value=${plan.id}>${called(plan.name, plan.id)}</option>`)}
        </select>`}<//>
      <${Field} label="When" name="plan_schedule">${(/** @type {string} */ id) => html`
        <select id=${id} name="plan_schedule" onChange=${(/** @type {any} */ event) => at(event.target.value)}><option value="">upgrades now, downgrades later</option><option value="immediate">now</option><option value="end_of_cycle">at the end of the cycle</option></select>`}<//>
      ${prepaid.map((/** @type {any} */ item) => html`<${Field} label=${`Quantity of ${item.feature_id}`} name=${`quantity-${item.feature_id}`} inputmode="decimal" defaultValue=${item.included ?? ""} />`)}
      <button disabled=${action.busy}>Attach</button>
    </form>
    ${offered && html`<${Preview} key=${`${chosen} ${schedule}`} plans=${plans} plan=${offered} body=${{ customer_id: customer.id, plan_id: chosen, ...(schedule && { plan_schedule: schedule }) }} />`}
    <${Told} action=${action} />
  <//>`;
}

/** What attaching a plan would change, as the API says. @param {{ plans: any[], plan: any, body: Record<string, unknown> }} props */
function Preview({ plans, plan, body }) {
  const { data, error, reload } = useAnswers({ preview: ["billing.preview_attach", body] });
  const name = (/** @type {string} */ id) => called(plans.find((each) => each.id === id)?.name, id);
  const items = plan.items.map((/** @type {any} */ item) => item.display?.primary_text).filter(Boolean).join(", ");
  const { incoming = [], outgoing = [] } = data?.preview ?? {};
  const at = (/** @type {any} */ each) => (each.effective_at ? html`on <${When} at=${each.effective_at} />` : "now");
  return html`<div class="hint" role="status">
    ${!data && !error && html`<p class="wait">Asking what it would change …</p>`}
    ${data && incoming.length + outgoing.length === 0 && html`<p>It would change nothing: it is attached or scheduled already.</p>`}
    ${incoming.map((/** @type {any} */ each) => html`<p>${name(each.plan_id)} starts ${at(each)}.</p>`)}
    ${outgoing.map((/** @type {any} */ each) => html`<p>${name(each.plan_id)} ends ${at(each)}.</p>`)}
    ${items && html`<p>It grants: ${items}.</p>`}
  </div>
  <${Problem} error=${error} retry=${reload} />`;
}

/** @param {{ locks: any[], changed: () => void }} props */
function Reservations({ locks, changed }) {
  const action = useAction(changed);
  /** @param {string} lock_id @param {string} how @param {string} did */
  const finalize = (lock_id, how, did) => action.act(`${lock_id} was ${did}.`, "balances.finalize", { lock_id, action: how });
  if (locks.length === 0 && !action.done && !action.error) return null;
  return html`<${Part} title="Reservations">
    <${Table} label="Reservations" empty="Nothing is held." columns=${["Lock", "Feature", "Held", "Ends", ""]}
      rows=${locks.map((lock) => [
        lock.lock_id,
        lock.feature_id,
        number(lock.held),
        html`<${When} at=${lock.expires_at} relative />`,
        html`<span class="actions"><button type="button" class="small" disabled=${action.busy} onClick=${() => finalize(lock.lock_id, "confirm", "confirmed")}>Confirm</button>
          <button type="button" class="small" disabled=${action.busy} onClick=${() => finalize(lock.lock_id, "release", "released")}>Release</button></span>`,
      ])} />
    <${Told} action=${action} />
  <//>`;
}

/** What happened, the newest first. @param {{ id: string, entries: any[] }} props */
const Log = ({ id, entries }) => html`<${Part} title="What happened" aside=${html`<a href=${link(["events"], { customer: id })}>All uses</a>`}>
  <${Table} label="What happened" empty="Nothing yet." columns=${["When", "What", "Of", "Amount", "By", "More"]} rows=${entries.map(logCells)} />
<//>`;

/** @param {any} entry */
const logCells = (entry) => [
  html`<${When} at=${entry.timestamp} />`,
  entry.type === "api.called" ? html`<code>${entry.call}</code>` : words(entry.type.replace(".", " ")),
  [entry.feature_id, entry.subscription?.plan_id ?? entry.plan_id, entry.entity_id].filter(Boolean).join(", "),
  entry.value === undefined || entry.value === null ? null : number(entry.value),
  entry.key_id ? html`<code>${entry.key_id}</code>` : null,
  entry.grant?.plan_id ?? fieldsOf(entry.properties),
];

/** @param {{ id: string, changed: () => void }} props */
function Clock({ id, changed }) {
  const action = useAction(changed);
  const set = (/** @type {Event} */ event) => {
    const at = Date.parse(typed(event).at);
    action.act("The customer's clock was set.", "customers.advance_test_clock", { customer_id: id, frozen_time: at });
  };
  return html`<${Part} title="Test clock">
    <form class="line" onSubmit=${set}>
      <${Field} label="The customer's time" name="at" type="datetime-local" required hint="It only moves forward. Resets and expiries follow it." />
      <button disabled=${action.busy}>Set</button>
    </form>
    <${Told} action=${action} />
  <//>`;
}
