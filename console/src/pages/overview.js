/** Overview: what was used of each feature, by day, over 30 days. */
import { Chart, colour } from "../chart.js";
import { html } from "../html.js";
import { Head, Part, Problem, Table, useAnswers } from "../parts.js";
import { link } from "../router.js";
import { number } from "../words.js";

const MOST = 100; // features in one aggregate

export function Overview() {
  const first = useAnswers({ features: ["features.list", {}] });
  if (!first.data) return html`<${Head} title="Overview" /><${Problem} error=${first.error} retry=${first.reload} />`;
  const metered = first.data.features.list.filter((/** @type {any} */ feature) => ["metered", "credit_system"].includes(feature.type));
  if (metered.length === 0) {
    return html`<${Head} title="Overview" /><ol class="plain">
      <li><a href=${link(["features"])}>Make a feature</a>: what may be had or used.</li>
      <li><a href=${link(["plans"])}>Make a plan</a> that grants it.</li>
      <li><a href=${link(["customers"])}>Make a customer</a> and attach the plan.</li>
      <li><a href=${link(["try"])}>Try it</a>.</li></ol>`;
  }
  return html`<${Head} title="Overview" /><${Usage} features=${metered.slice(0, MOST)} />`;
}

/** @param {{ features: any[] }} props */
function Usage({ features }) {
  const { data, error, busy, reload } = useAnswers({
    usage: ["events.aggregate", { feature_id: features.map((feature) => feature.id), range: "30d", bin_size: "day" }],
  });
  if (!data) return html`<${Problem} error=${error} retry=${reload} />${busy && html`<p class="wait" role="status">Adding up …</p>`}`;
  const { list, total } = data.usage;
  const used = features.filter((feature) => total[feature.id]?.count > 0);
  return html`
    <${Problem} error=${error} retry=${reload} />
    <${Part} title="Usage by day, over 30 days">
      ${used.length === 0 ? html`<p class="empty">Nothing was used yet. <a href=${link(["try"])}>Try it</a>.</p>` : used.map((feature, n) => html`
        <figure class="chart"><figcaption><span class="dot" style=${{ background: colour(n) }}></span>${feature.name}: <strong>${number(total[feature.id].sum)}</strong> in ${number(total[feature.id].count)} uses</figcaption>
          <${Chart} label=${`${feature.name} by day`} at=${list.map((/** @type {any} */ bin) => bin.period / 1000)} values=${list.map((/** @type {any} */ bin) => Number(bin.values[feature.id] ?? 0))} colour=${colour(n)} />
        </figure>`)}
    <//>
    ${used.length > 0 && html`<${Part} title="In numbers"><${Table} label="Usage of the last days" empty="" columns=${["Day", ...used.map((feature) => feature.name)]}
      rows=${list.slice(-7).reverse().map((/** @type {any} */ bin) => [new Date(bin.period).toISOString().slice(0, 10), ...used.map((feature) => number(bin.values[feature.id] ?? 0))])} /><//>`}`;
}
