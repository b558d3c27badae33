/** Events: the history of uses with filters, and live. */
import { html } from "../html.js";
import { Field, Head, Pages, Problem, Table, When, typed, useAnswers, useLive, usePages } from "../parts.js";
import { link } from "../router.js";
import { number } from "../words.js";

/** @param {{ query: Record<string, string> }} props */
export function Events({ query }) {
  const { customer = "", feature = "" } = query;
  const pages = usePages(`${customer} ${feature}`);
  const { data, error, busy, reload } = useAnswers({
    events: ["events.list", { limit: 50, ...(customer && { customer_id: customer }), ...(feature && { feature_id: feature }), ...(pages.cursor && { start_cursor: pages.cursor }) }],
  });
  const live = useLive(reload);
  const find = (/** @type {Event} */ event) => {
    location.hash = link(["events"], typed(event));
  };
  return html`
    <${Head} title="Events"><p class="quiet">Each use, newest first.</p><//>
    <form class="line" onSubmit=${find} key=${`${customer} ${feature}`}>
      <${Field} label="Customer" name="customer" defaultValue=${customer} />
      <${Field} label="Feature" name="feature" defaultValue=${feature} />
      <button>Filter</button>
      ${live}
    </form>
    <${Problem} error=${error} retry=${reload} />
    ${!error && html`
      <${Table} label="Events" busy=${busy} empty="Nothing was used yet." columns=${["When", "Customer", "Feature", "Amount", "Entity", "Drawn from", "Properties"]}
        rows=${(data?.events.list ?? []).map((/** @type {any} */ event) => [
          html`<${When} at=${event.timestamp} />`,
          html`<a href=${link(["customers", event.customer_id])}>${event.customer_id}</a>`,
          event.feature_id,
          number(event.value),
          event.entity_id,
          event.deductions.map((/** @type {any} */ moved) => `${number(moved.value)} of ${moved.plan_id ?? moved.feature_id}`).join(", ") || null,
          Object.keys(event.properties ?? {}).length > 0 ? html`<code>${JSON.stringify(event.properties)}</code>` : null,
        ])} />
      <${Pages} pages=${pages} next=${data?.events.next_cursor} />`}`;
}
