/** Overview: what happens now, who is near a limit, what was told, and what was used over 30 days. */
import { Chart, Key, colour } from "../chart.js";
import { html } from "../html.js";
import { Bar, Head, Part, Problem, Table, Tag, When, usedAndLeft, useAnswers, useLive } from "../parts.js";
import { link } from "../router.js";
import { number, words } from "../words.js";

const MOST = 100; // features in one aggregate
const SHOWN = 7; // features with a colour of their own in the stack; the others are one

export function Overview() {
  const first = useAnswers({ features: ["features.list", {}] });
  if (!first.data) return html`<${Head} title="Overview" /><${Problem} error=${first.error} retry=${first.reload} />${first.busy && html`<p class="wait" role="status">Reading …</p>`}`;
  const metered = first.data.features.list.filter((/** @type {any} */ feature) => !["boolean", "static"].includes(feature.type)).map((/** @type {any} */ feature) => ({ id: feature.id, name: feature.name || feature.id }));
  if (metered.length === 0) {
    return html`<${Head} title="Overview" /><ol class="plain">
      <li><a href=${link(["features"])}>Make a feature</a>: what may be had or used.</li>
      <li><a href=${link(["plans"])}>Make a plan</a> that grants it.</li>
      <li><a href=${link(["customers"])}>Make a customer</a> and attach the plan.</li>
      <li><a href=${link(["try"])}>Try it</a>.</li></ol>`;
  }
  return html`<${Head} title="Overview" /><${Now} /><${Usage} features=${metered.slice(0, MOST)} />`;
}

function Now() {
  const { data, error, busy, reload } = useAnswers({
    activity: ["activity.get", {}],
    near: ["balances.list_near_limit", { limit: 10 }],
    alerts: ["alerts.list", { limit: 10 }],
  });
  const live = useLive(reload);
  if (!data) return html`<${Problem} error=${error} retry=${reload} />${busy && html`<p class="wait" role="status">Reading …</p>`}`;
  const { activity, near, alerts } = data;
  return html`<${Problem} error=${error} retry=${reload} />
    <${LastHour} activity=${activity} live=${live} />
    <${Part} title="Near a limit">
      <${Table} label="Near a limit" empty="Nobody has used 80 percent of anything." columns=${["Customer", "Feature", "Used", "Left", "Changes", ""]}
        rows=${near.list.map((/** @type {any} */ each) => [
          html`<a href=${link(["customers", each.customer_id])}>${each.customer_id}</a>${each.entity_id ? html` <span class="quiet">${each.entity_id}</span>` : ""}`,
          html`${each.feature_id}${each.limited_by === "usage_limit" ? html` <span class="quiet">usage limit</span>` : ""}`,
          html`<${Bar} label=${`${each.feature_id} of ${each.customer_id}`} parts=${usedAndLeft(each.usage, each.remaining)} />`,
          html`${number(each.remaining)} of ${number(each.limit)}`,
          each.changes_at && html`<${When} at=${each.changes_at} relative />`,
          html`<span class="actions"><a href=${link(["why"], { customer: each.customer_id, feature: each.feature_id, entity: each.entity_id, go: "1" })} aria-label=${`Why: ${each.feature_id} of ${each.customer_id}`}>Why</a></span>`,
        ])} />
      ${near.next_cursor && html`<p class="hint">There are more: <code>balances.list_near_limit</code>.</p>`}
    <//>
    <${Part} title="Latest alerts">
      <${Table} label="Latest alerts" empty="There were none in 30 days." columns=${["When", "Customer", "Feature", "Alert"]}
        rows=${alerts.list.map((/** @type {any} */ each) => [
          html`<${When} at=${each.timestamp} />`,
          html`<a href=${link(["customers", each.customer_id])}>${each.customer_id}</a>`,
          each.feature_id,
          alertWords(each),
        ])} />
    <//>`;
}

/** @param {any} alert */
const alertWords = (alert) => (alert.type === "balance.limit_reached" ? `limit reached: ${words(alert.limit_type)}` : words(alert.threshold_type ?? alert.state ?? alert.type));

/** @param {{ activity: any, live: any }} props */
function LastHour({ activity, live }) {
  const { list, total, stream, waiting } = activity;
  /** @type {(by: any) => number} */
  const sum = (by) => Object.values(by).reduce((/** @type {number} */ all, each) => all + (typeof each === "number" ? each : sum(each)), 0);
  const at = list.map((/** @type {any} */ minute) => minute.period / 1000);
  const series = [
    { name: "uses", values: list.map((/** @type {any} */ minute) => sum(minute.uses)), colour: colour(0) },
    { name: "denials", values: list.map((/** @type {any} */ minute) => sum(minute.denials)), colour: "#c8323f" },
  ];
  const denied = Object.entries(total.denials);
  return html`<${Part} title="The last hour, by minute" aside=${live}>
    <figure class="chart"><${Key} series=${series} said=${(/** @type {any} */ each) => number(each.values.reduce((/** @type {number} */ all, /** @type {number} */ one) => all + one, 0))} />
      <${Chart} label=${`Uses and denials by minute: ${number(sum(total.uses))} uses, ${number(sum(total.denials))} denials`} at=${at} series=${series} /></figure>
    ${denied.length > 0 && html`<${Table} label="Denials" empty="" columns=${["Denied", "Times", "Why"]} rows=${denied.map(([id, reasons]) => [
      id, number(sum(reasons)), Object.entries(/** @type {any} */ (reasons)).map(([reason, count]) => `${words(reason)} ${number(/** @type {number} */ (count))}`).join(", ")])} />`}
    <ul class="legend">
      <li>${stream ? html`History and events were ${number(Math.round(stream.behind_ms / 1000))} s behind, <${When} at=${stream.read_at} relative />` : "The stream told of no use in this hour"}</li>
      <li>${number(waiting.reported_uses)} reported uses wait</li>
      <li>${waiting.dead_letters > 0 ? html`<${Tag} kind="bad">${number(waiting.dead_letters)} dead letters wait<//>` : "no dead letters"}</li>
      <li>${waiting.webhook_dead_letters > 0 ? html`<${Tag} kind="bad">${number(waiting.webhook_dead_letters)} webhook messages were given up on<//>` : "no webhook messages given up on"}</li>
    </ul>
  <//>`;
}

/** @param {{ features: any[] }} props */
function Usage({ features }) {
  const body = { feature_id: features.map((feature) => feature.id), range: "30d", bin_size: "day" };
  const { data, error, busy, reload } = useAnswers({ usage: ["events.aggregate", body], counts: ["events.aggregate", { ...body, measure: "count" }] });
  if (!data) return html`<${Problem} error=${error} retry=${reload} />${busy && html`<p class="wait" role="status">Adding up …</p>`}`;
  const { list, total } = data.usage;
  const used = features.filter((feature) => total[feature.id]?.count > 0).sort((one, other) => total[other.id].count - total[one.id].count);
  const at = list.map((/** @type {any} */ bin) => bin.period / 1000);
  const uses = (/** @type {any[]} */ of) => data.counts.list.map((/** @type {any} */ bin) => of.reduce((sum, feature) => sum + Number(bin.values[feature.id] ?? 0), 0));
  const stack = used.slice(0, SHOWN).map((feature, n) => ({ name: feature.name, values: uses([feature]), colour: colour(n) }));
  if (used.length > SHOWN) stack.push({ name: "others", values: uses(used.slice(SHOWN)), colour: colour(SHOWN) });
  return html`
    <${Problem} error=${error} retry=${reload} />
    <${Part} title="Uses by day, over 30 days">
      ${used.length === 0 ? html`<p class="empty">Nothing was used yet. <a href=${link(["try"])}>Try it</a>.</p>` : html`
        <figure class="chart"><${Key} series=${stack} said=${(/** @type {any} */ each) => number(each.values.reduce((/** @type {number} */ all, /** @type {number} */ one) => all + one, 0))} />
          <${Chart} label="Uses of each feature by day, stacked" at=${at} series=${stack} /></figure>`}
    <//>
    ${used.length > 0 && html`<${Part} title="Units of each feature">
      ${used.map((feature, n) => html`
        <figure class="chart"><figcaption><span class="dot" style=${{ background: colour(n) }}></span>${feature.name}: <strong>${number(total[feature.id].sum)}</strong> in ${number(total[feature.id].count)} uses</figcaption>
          <${Chart} label=${`${feature.name} by day`} at=${at} series=${[{ name: feature.name, values: list.map((/** @type {any} */ bin) => Number(bin.values[feature.id] ?? 0)), colour: colour(n) }]} />
        </figure>`)}
    <//>
    <${Part} title="In numbers"><${Table} label="Usage of the last days" empty="" columns=${["Day", ...used.map((feature) => feature.name)]}
      rows=${list.slice(-7).reverse().map((/** @type {any} */ bin) => [new Date(bin.period).toISOString().slice(0, 10), ...used.map((feature) => number(bin.values[feature.id] ?? 0))])} /><//>`}`;
}
