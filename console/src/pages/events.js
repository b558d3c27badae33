/** Events: the history of uses with filters, and live. */
import { html } from "../html.js";
import { Field, Head, Pages, Problem, Table, When, fieldsOf, typed, useAnswers, useLive, usePages } from "../parts.js";
import { link } from "../router.js";
import { number } from "../words.js";

/** @param {{ query: Record<string, string> }} props */
export function Events({ query }) {
  const { customer = "", feature = "", entity = "", property = "", value = "" } = query;
  const asked = {
    ...(customer && { customer_id: customer }),
    ...(feature && { feature_id: feature }),
    ...(entity && { entity_id: entity }),
    ...(property && { filter_by: { [property]: value } }),
  };
  const which = JSON.stringify(asked);
  const pages = usePages(which);
  const { data, error, busy, reload } = useAnswers({ events: ["events.list", { limit: 50, ...asked, ...(pages.cursor && { start_cursor: pages.cursor }) }] });
  const live = useLive(reload);
  const find = (/** @type {Event} */ event) => {
    location.hash = link(["events"], typed(event));
  };
  return html`
    <${Head} title="Events"><p class="quiet">Each use, newest first.</p><//>
    <form class="line" onSubmit=${find} key=${which}>
      <${Field} label="Customer" name="customer" defaultValue=${customer} />
      <${Field} label="Feature" name="feature" defaultValue=${feature} />
      <${Field} label="Entity" name="entity" defaultValue=${entity} />
      <${Field} label="Property" name="property" defaultValue=${property} />
      <${Field} label="Its value" name="value" defaultValue=${value} />
      <button>Filter</button>
      ${live}
    </form>
    <${Problem} error=${error} retry=${reload} />
    ${!error && html`
      <${Table} label="Events" busy=${busy} empty=${which === "{}" ? "Nothing was used yet." : "No use is like that."} columns=${["When", "Customer", "Feature", "Amount", "Entity", "Drawn from", "Properties"]}
        rows=${(data?.events.list ?? []).map((/** @type {any} */ event) => [
          html`<${When} at=${event.timestamp} />`,
          html`<a href=${link(["customers", event.customer_id])}>${event.customer_id}</a>`,
          event.feature_id,
          number(event.value),
          event.entity_id,
          event.deductions.map((/** @type {any} */ moved) => `${number(moved.value)} of ${moved.plan_id ?? moved.feature_id}`).join(", ") || null,
          fieldsOf(event.properties),
        ])} />
      <${Pages} pages=${pages} next=${data?.events.next_cursor} />`}`;
}
