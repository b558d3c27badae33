/** A customer's limits and alerts: those in force, and its own to be changed. */
import { ControlsForm, ControlsTable } from "../controls.js";
import { html } from "../html.js";
import { Opened, Part } from "../parts.js";

/** @param {{ customer: any, changed: () => void }} props */
export const Limits = ({ customer, changed }) => html`<${Part} title="Limits and alerts">
  <${ControlsTable} label="Limits and alerts" controls=${customer.billing_controls ?? {}} />
  <${Opened} title="Change the customer's own">${() => html`
    <${ControlsForm} name="customer" controls=${customer.billing_controls ?? {}} call="customers.update" who=${{ customer_id: customer.id }} changed=${changed} />`}<//>
<//>`;
