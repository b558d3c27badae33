/**
 * Customers: found by id, name or e-mail, page by page; and made.
 *
 * They are in the order in which they were made, forwards or backwards: the API's index has no other, and what it does
 * not have would mean reading all of them for each page.
 */
import { html } from "../html.js";
import { Field, Head, Pages, Part, Problem, Table, Told, When, typed, useAction, useAnswers, usePages } from "../parts.js";
import { link } from "../router.js";

/** @param {{ query: Record<string, string> }} props */
export function Customers({ query }) {
  const { search = "", order = "desc", plan = "" } = query;
  const pages = usePages(`${search} ${order} ${plan}`);
  const body = { limit: 25, sort_order: order, ...(search && { search }), ...(plan && { plans: [{ id: plan }] }), ...(pages.cursor && { start_cursor: pages.cursor }) };
  const { data, error, busy, reload } = useAnswers({ found: ["customers.list", body] });
  const action = useAction();
  const find = (/** @type {Event} */ event) => {
    location.hash = link(["customers"], { search: typed(event).search, plan, order: order === "desc" ? "" : order });
  };
  const create = async (/** @type {Event} */ event) => {
    const { customer_id, name, email } = typed(event);
    const made = { customer_id, ...(name && { name }), ...(email && { email }) };
    if (await action.act(`${customer_id} is there.`, "customers.get_or_create", made)) location.hash = link(["customers", customer_id]);
  };
  const list = data?.found.list ?? [];
  const other = link(["customers"], { search, plan, order: order === "asc" ? "" : "asc" });
  return html`
    <${Head} title="Customers" />
    <form class="line" role="search" key=${search} onSubmit=${find}>
      <${Field} label="Id, name or e-mail" name="search" type="search" defaultValue=${search} />
      <button>Find</button>
      <a class="button narrow" href=${other}>${order === "asc" ? "Newest first" : "Oldest first"}</a>
    </form>
    ${plan && html`<p>Those on <strong>${plan}</strong>. <a href=${link(["customers"], { search })}>All</a></p>`}
    <${Problem} error=${error} retry=${reload} />
    ${!error && html`
      <${Table} label="Customers" busy=${busy} sorted=${{ by: "Since", order: order === "asc" ? "ascending" : "descending", other }} columns=${["Customer", "Name", "E-mail", "Plans", "Since"]}
        empty=${search ? `No customer's id, name or e-mail has “${search}” in it.` : "There are no customers yet."}
        rows=${list.map((/** @type {any} */ each) => [
          html`<a href=${link(["customers", each.id])}>${each.id}</a>`,
          each.name,
          each.email,
          each.subscriptions.map((/** @type {any} */ held) => held.plan_id).join(", ") || null,
          html`<${When} at=${each.created_at} />`,
        ])} />
      <${Pages} pages=${pages} next=${data?.found.next_cursor} />`}
    <${Part} title="New customer">
      <form class="line" onSubmit=${create}>
        <${Field} label="Id" name="customer_id" required />
        <${Field} label="Name" name="name" />
        <${Field} label="E-mail" name="email" type="email" />
        <button class="main" disabled=${action.busy}>Create</button>
      </form>
      <${Told} action=${action} />
    <//>`;
}
