/** Why: a decision step by step, as it was made, and what would change it (balances.explain). */
import { call } from "../api.js";
import { CheckForm, bodyOf } from "../checks.js";
import { least } from "../decimals.js";
import { html, useEffect, useState } from "../html.js";
import { Bar, Head, Part, Problem, Table, Tag, Told, When, typed, useAction, useAnswers } from "../parts.js";
import { link } from "../router.js";
import { number, words } from "../words.js";

const OUTCOMES = {
  goes_on: ["M8 2v12M3.5 9.5 8 14l4.5-4.5", "goes on"],
  allows: ["M2.5 8.5 6.5 12.5 13.5 4", "allows"],
  denies: ["M3.5 3.5l9 9M12.5 3.5l-9 9", "denies"],
};

/** @param {{ query: Record<string, string> }} props */
export function Why({ query }) {
  const features = useAnswers({ features: ["features.list"] });
  const [asked, ask] = useState(query);
  const [state, set] = useState(/** @type {{ busy: boolean, found: any, error: Error | null }} */ ({ busy: false, found: null, error: null }));
  const explain = async (/** @type {Record<string, string>} */ form) => {
    ask(form);
    set((old) => ({ ...old, busy: true, error: null }));
    try {
      set({ busy: false, found: await call("balances.explain", bodyOf(form)), error: null });
    } catch (error) {
      set({ busy: false, found: null, error: /** @type {Error} */ (error) });
    }
  };
  useEffect(() => {
    if (query.go) explain(query);
  }, []);
  return html`
    <${Head} title="Why"><p class="quiet">The decision as it is made, step by step. Nothing is counted.</p><//>
    <${CheckForm} asked=${asked} features=${features.data?.features.list ?? []} submit=${(/** @type {Event} */ event) => explain(typed(event))} busy=${state.busy}>${state.busy ? "Asking …" : "Explain"}<//>
    <${Problem} error=${state.error ?? features.error} />
    ${state.found && html`<${Explanation} found=${state.found} again=${() => explain(asked)} asked=${asked} />`}`;
}

/** @param {{ found: any, again: () => void, asked: Record<string, string> }} props */
const Explanation = ({ found, again, asked }) => html`
  <div role="status"><section class=${`verdict ${found.allowed ? "allowed" : "denied"}`} aria-label="Answer">
    <h2>${found.allowed ? "Allowed" : "Denied"} <${Tag} kind=${found.allowed ? "good" : "bad"}>${words(found.reason)}<//></h2>
    <p>${found.message}</p>
    <p class="quiet"><a href=${link(["customers", found.customer_id])}>${found.customer_id}</a>, as of <${When} at=${found.at} /> · <a href=${link(["try"], asked)}>Try it</a></p>
  </section></div>
  ${found.would_allow && html`<${WouldAllow} found=${found} again=${again} />`}
  <${Part} title="Step by step">
    <ol class="steps">${found.steps.map((/** @type {any} */ step) => {
      const [path, said] = OUTCOMES[/** @type {keyof typeof OUTCOMES} */ (step.outcome)];
      return html`<li class=${`step ${step.outcome}`}><span class="sign" aria-hidden="true"><svg viewBox="0 0 16 16"><path d=${path} /></svg></span>
        <div><strong>${words(step.rule)}</strong> <span class="quiet">${step.feature_id}, ${said}</span><p>${step.message}</p></div></li>`;
    })}</ol>
  <//>
  ${found.features.map((/** @type {any} */ feature) => html`<${FeaturePart} feature=${feature} />`)}`;

/** What would make it allowed; what can be done here is done here. @param {{ found: any, again: () => void }} props */
function WouldAllow({ found, again }) {
  const action = useAction(again);
  const { changes, required_balance: most, at } = found.would_allow;
  /** @param {any} change */
  const grant = (change) =>
    action.act("Granted. Asked again: see above.", "balances.create", {
      customer_id: found.customer_id,
      feature_id: change.feature_id,
      ...(change.entity_id && { entity_id: change.entity_id }),
      ...(change.amount !== null && { included_grant: change.amount }),
    });
  return html`<${Part} title="What would make it allowed">
    <ul class="plain">
      ${changes.map((/** @type {any} */ change) => html`<li class="line between"><span>${change.message}</span>
        ${change.type === "grant" && html`<button type="button" disabled=${action.busy} onClick=${() => grant(change)}>Grant it</button>`}
        ${change.type === "usage_limit" && html`<a class="button" href=${link(["customers", found.customer_id])}>To the limits</a>`}</li>`)}
      ${most !== null && html`<li>Ask for ${number(most)} or less.</li>`}
      ${at !== null && html`<li>Wait until <${When} at=${at} />: <${When} at=${at} relative />.</li>`}
      ${changes.length === 0 && most === null && at === null && html`<li>Nothing that was found.</li>`}
    </ul>
    ${changes.length > 1 && html`<p class="hint">Of the changes, all are needed.</p>`}
    <${Told} action=${action} />
  <//>`;
}

/** @param {{ feature: any }} props */
const FeaturePart = ({ feature }) => html`<${Part} title=${`Grants of ${feature.feature_id}`}
    aside=${html`<${Tag} kind=${feature.allowed ? "good" : "bad"}>${words(feature.reason)}<//>`}>
  ${feature.credit_cost !== 1 && html`<p class="quiet">One unit costs ${number(feature.credit_cost)}: ${number(feature.required_balance)} are asked for.</p>`}
  <${Table} label=${`Grants of ${feature.feature_id}`} empty="There are none." columns=${["In order", "Grant", "State", "Holds", "Gives", "Overage", "Takes"]}
    rows=${feature.grants.map((/** @type {any} */ grant, /** @type {number} */ n) => [
      n + 1,
      html`${grant.plan_id ?? "set by hand"}${grant.entity_id ? html` <span class="quiet">of ${grant.entity_id}</span>` : ""}`,
      html`<${Tag} kind=${["available", "unlimited"].includes(grant.state) ? "good" : "plain"}>${words(grant.state)}<//><${Moment} grant=${grant} />`,
      html`<${Bar} label=${`Grant ${n + 1}`} parts=${[
        { kind: "used", name: "used", amount: least(grant.usage, grant.granted) },
        { kind: "left", name: "left", amount: grant.remaining },
        { kind: "rolled", name: "rolled over", amount: grant.rolled_over },
      ]} />`,
      number(grant.gives),
      number(grant.overage_left),
      number(grant.takes),
    ])} />
  ${feature.usage_limits.length > 0 && html`<${Table} label=${`Usage limits of ${feature.feature_id}`} empty="" columns=${["Usage limit", "Used", "Left", "Until", "Counts it"]}
    rows=${feature.usage_limits.map((/** @type {any} */ limit) => [
      `${number(limit.limit)} a ${words(limit.interval)}`,
      number(limit.usage),
      html`${number(limit.left)}${limit.too_little ? html` <${Tag} kind="bad">too little<//>` : ""}`,
      html`<${When} at=${limit.ends_at} />`,
      limit.matches ? "yes" : "no: other properties",
    ])} />`}
  ${feature.spend_limit && html`<p>Spend limit: ${number(feature.spend_limit.limit)}${feature.spend_limit.percentage ? " percent" : ""}, ${number(feature.spend_limit.left)} left.</p>`}
<//>`;

/** When a grant changes by itself. @param {{ grant: any }} props */
function Moment({ grant }) {
  if (grant.state === "lapsed" && grant.expires_at) return html` <span class="quiet">since <${When} at=${grant.expires_at} /></span>`;
  if (grant.starts_at) return html` <span class="quiet">starts <${When} at=${grant.starts_at} relative /></span>`;
  if (grant.next_reset_at) return html` <span class="quiet">resets <${When} at=${grant.next_reset_at} relative /></span>`;
  if (grant.expires_at) return html` <span class="quiet">gone <${When} at=${grant.expires_at} relative /></span>`;
  return null;
}
