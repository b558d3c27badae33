/** A customer's balances: each with its grants as bars, and units granted by hand. */
import { Amount } from "../api.js";
import { FeatureField } from "../choices.js";
import { least, minus, plus } from "../decimals.js";
import { html } from "../html.js";
import { Bar, Countdown, Field, Legend, Opened, Part, Tag, Told, When, typed, useAction } from "../parts.js";
import { link } from "../router.js";
import { number, period, words } from "../words.js";

const MANY = 5; // grants that are shown without being asked for

/** @param {{ customer: any, changed: () => void }} props */
export function Balances({ customer, changed }) {
  const balances = Object.values(customer.balances);
  const flags = Object.values(customer.flags);
  const action = useAction(changed);
  const grant = (/** @type {Event} */ event) => {
    const { feature_id, included_grant } = typed(event);
    const body = { customer_id: customer.id, feature_id, ...(included_grant && { included_grant: Amount.of(included_grant) }) };
    action.act(`${included_grant || ""} ${feature_id} granted.`.trim(), "balances.create", body);
  };
  return html`<${Part} title="Balances">
    ${balances.length + flags.length === 0 && html`<p class="empty">Nothing is granted.</p>`}
    <ul class="cards">
      ${balances.map((/** @type {any} */ balance) => html`<li class="card" key=${balance.feature_id}><${Balance} id=${customer.id} balance=${balance} /></li>`)}
      ${flags.map((/** @type {any} */ flag) => html`<li class="card" key=${flag.feature_id}><h3>${flag.feature?.name || flag.feature_id}</h3>
        <p><${Tag} kind="good">held<//> ${flag.static_value ?? ""} <span class="quiet">${flag.plan_id ?? "set by hand"}</span></p></li>`)}
    </ul>
    <${Opened} title="Grant units by hand">${() => html`
      <form class="line" onSubmit=${grant}>
        <${FeatureField} label="Feature" name="feature_id" kind="any" />
        <${Field} label="Units" name="included_grant" inputmode="decimal" hint="None for a boolean feature." />
        <button class="main" disabled=${action.busy}>Grant</button>
      </form>`}<//>
    <${Told} action=${action} />
  <//>`;
}

/** Units that rolled over: how many are left, and how many were used. @param {any[] | undefined} rollovers */
function rolledOf(rollovers = []) {
  const left = plus(...rollovers.map((each) => each.balance));
  return { left, used: minus(plus(...rollovers.map((each) => each.granted)), left) };
}

/**
 * What a balance or a grant consists of.
 *
 * @param {any} of with `reserved` and `overage`, where there is any
 * @param {import("../decimals.js").Value} consumed units used, the held ones and those that rolled over among them
 * @param {import("../decimals.js").Value} left without those that rolled over
 * @returns {import("../parts.js").BarPart[]}
 */
function partsOf(of, consumed, left) {
  const covered = minus(consumed, of.overage);
  const held = least(of.reserved, covered);
  return [
    { kind: "used", name: "used", amount: minus(covered, held) },
    { kind: "held", name: "held", amount: held },
    { kind: "left", name: "left", amount: left },
    { kind: "rolled", name: "rolled over", amount: rolledOf(of.rollovers).left },
    { kind: "over", name: "over", amount: of.overage },
  ];
}

/** @param {{ id: string, balance: any }} props */
function Balance({ id, balance }) {
  const name = balance.feature?.name || balance.feature_id;
  const parts = partsOf(balance, balance.usage, minus(balance.remaining, rolledOf(balance.rollovers).left));
  const lines = balance.breakdown;
  return html`
    <div class="card-head"><h3>${name}</h3>
      <span class="actions"><a href=${link(["try"], { customer: id, feature: balance.feature_id })} aria-label=${`Try it: ${name}`}>Try it</a>
      <a href=${link(["why"], { customer: id, feature: balance.feature_id })} aria-label=${`Why: ${name}`}>Why</a></span></div>
    ${balance.unlimited
      ? html`<p class="big">Unlimited</p><p class="quiet">${number(balance.usage)} used${Number(balance.reserved) > 0 ? `, ${number(balance.reserved)} of it held` : ""}</p>`
      : html`<p class="big">${number(balance.remaining)} <span class="quiet">of ${number(balance.granted)} left</span></p>
        <${Bar} label=${name} parts=${parts} /><${Legend} parts=${parts} />`}
    ${Number(balance.overage) > 0 && html`<p><${Tag} kind="bad">${number(balance.overage)} over<//></p>`}
    ${balance.next_reset_at && html`<p class="quiet">Resets <${Countdown} at=${balance.next_reset_at} />, <${When} at=${balance.next_reset_at} /></p>`}
    ${lines.length > 0 && html`<details open=${lines.length > 1 && lines.length <= MANY}><summary>${lines.length === 1 ? "1 grant" : `${lines.length} grants`}</summary>
      <ol class="grants">${lines.map((/** @type {any} */ line) => html`<li key=${line.id}><${Line} name=${name} line=${line} /></li>`)}</ol></details>`}`;
}

/** One grant of a balance, or several that are shown as one. @param {{ name: string, line: any }} props */
function Line({ name, line }) {
  const whose = line.plan_id ?? "set by hand";
  const rolled = rolledOf(line.rollovers);
  const parts = partsOf(line, plus(line.usage, rolled.used), line.remaining);
  const ending = (line.rollovers ?? []).filter((/** @type {any} */ each) => Number(each.balance) > 0 && each.expires_at);
  return html`<p><strong>${whose}</strong> <span class="quiet">${line.entity_id ? `of ${line.entity_id}, ` : ""}${period(line.reset)}${line.price ? `, ${words(line.price.billing_method ?? "priced")}` : ""}</span></p>
    ${line.unlimited ? html`<p>Unlimited, ${number(line.usage)} used</p>` : html`<${Bar} label=${`${name}, ${whose}`} parts=${parts} /><${Legend} parts=${parts} />`}
    ${line.reset?.resets_at && html`<p class="quiet">Resets <${Countdown} at=${line.reset.resets_at} /></p>`}
    ${ending.map((/** @type {any} */ each) => html`<p class="quiet">${number(each.balance)} rolled over, gone <${When} at=${each.expires_at} relative /></p>`)}
    ${line.expires_at && html`<p class="quiet">Gone <${Countdown} at=${line.expires_at} /></p>`}`;
}
