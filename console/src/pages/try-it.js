/** Try it: a check with any parameters, its answer, and the same call in code. */
import { call, write } from "../api.js";
import { CheckForm, bodyOf, inCode } from "../checks.js";
import { html, useState } from "../html.js";
import { Bar, Code, Head, Legend, Part, Problem, Tag, typed, usedAndLeft, useAnswers } from "../parts.js";
import { link } from "../router.js";
import { number, words } from "../words.js";

/** @param {{ query: Record<string, string> }} props */
export function TryIt({ query }) {
  const features = useAnswers({ features: ["features.list"] });
  const [asked, ask] = useState(query);
  const [state, set] = useState(/** @type {{ busy: boolean, answer: any, error: Error | null, body: any }} */ ({ busy: false, answer: null, error: null, body: null }));
  const submit = async (/** @type {Event} */ event) => {
    const form = typed(event);
    ask(form);
    try {
      const body = bodyOf(form);
      set({ busy: true, answer: null, error: null, body });
      set({ busy: false, answer: await call("balances.check", body), error: null, body });
    } catch (error) {
      set((old) => ({ ...old, busy: false, error: /** @type {Error} */ (error) }));
    }
  };
  return html`
    <${Head} title="Try it"><p class="quiet">May this customer do this now? Asking counts nothing, unless you say so.</p><//>
    <${CheckForm} asked=${asked} features=${features.data?.features.list ?? []} submit=${submit} busy=${state.busy}>${state.busy ? "Asking …" : "Check"}<//>
    <${Problem} error=${state.error ?? features.error} />
    <div role="status">${state.answer && html`<${Answer} answer=${state.answer} asked=${asked} />`}</div>
    ${state.body && html`<${InCode} body=${state.body} />`}
    ${state.answer && html`<${Part} title="As JSON"><${Code} label="The answer as JSON" text=${write(state.answer, 2)} /><//>`}`;
}

/** @param {{ answer: any, asked: Record<string, string> }} props */
function Answer({ answer, asked }) {
  const { balance } = answer;
  const parts = balance && usedAndLeft(balance.usage, balance.remaining);
  return html`<section class=${`verdict ${answer.allowed ? "allowed" : "denied"}`} aria-label="Answer">
    <h2>${answer.allowed ? "Allowed" : "Denied"}${answer.reason ? html` <${Tag} kind="bad">${words(answer.reason)}<//>` : ""}</h2>
    <p>${number(answer.required_balance)} asked of ${balance?.feature_id ?? asked.feature}${asked.counts && answer.allowed ? ", and counted" : ""}.</p>
    ${balance && (balance.unlimited ? html`<p>Unlimited, ${number(balance.usage)} used.</p>` : html`<${Bar} label=${balance.feature_id} parts=${parts} /><${Legend} parts=${parts} />`)}
    <p><a class="button" href=${link(["why"], { ...asked, go: "1" })}>Why?</a></p>
  </section>`;
}

/** @param {{ body: Record<string, unknown> }} props */
function InCode({ body }) {
  const texts = inCode("balances.check", body);
  const [shown, show] = useState("curl");
  return html`<${Part} title="The same call" aside=${html`<div class="tabs" role="group" aria-label="Language">
      ${Object.keys(texts).map((name) => html`<button type="button" class="small" aria-pressed=${shown === name ? "true" : "false"} onClick=${() => show(name)}>${name}</button>`)}
    </div>`}>
    <${Code} label=${`The same call in ${shown}`} text=${texts[/** @type {keyof typeof texts} */ (shown)]} />
  <//>`;
}
