/** Series over time as bars, stacked where there are several. The library comes when the first chart is drawn. */
import { html, useEffect, useRef } from "./html.js";

const COLOURS = ["#2f6fe0", "#0f8a6d", "#b45309", "#8b5cf6", "#c2410c", "#0e7490", "#be185d", "#4d7c0f"];

/** @param {number} n */
export const colour = (n) => COLOURS[n % COLOURS.length];

/** @typedef {{ name: string, values: number[], colour: string }} Series */

/** What each series reaches up to, standing on those before it. @param {Series[]} series @returns {number[][]} */
export const stacked = (series) => {
  const tops = /** @type {number[][]} */ ([]);
  series.forEach(({ values }, n) => tops.push(values.map((value, at) => value + (n ? tops[n - 1][at] : 0))));
  return tops;
};

/** @param {{ label: string, at: number[], series: Series[] }} props `at` in seconds, evenly apart */
export function Chart({ label, at, series }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const half = at.length > 1 ? (at[1] - at[0]) / 2 : 43_200;
  useEffect(() => {
    const target = place.current;
    if (!target) return;
    let drawn = /** @type {any} */ (null);
    let gone = false;
    const size = () => ({ width: Math.max(200, target.clientWidth), height: 140 });
    const watcher = new ResizeObserver(() => drawn?.setSize(size()));
    const tops = stacked(series);
    const order = series.map((_, n) => n).reverse(); // the tallest first, so that the others stand before it
    import("uplot").then(({ default: Plot }) => {
      if (gone) return;
      const ink = getComputedStyle(target).color;
      const axis = { stroke: ink, grid: { stroke: "#8884", width: 1 }, ticks: { show: false } };
      drawn = new Plot(
        {
          ...size(),
          legend: { show: false },
          cursor: { drag: { x: false, y: false } },
          scales: { x: { time: true, range: (/** @type {any} */ _, /** @type {number} */ first, /** @type {number} */ last) => [first - half, last + half] }, y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ most) => [0, most || 1] } },
          axes: [axis, { ...axis, size: 64 }],
          series: [{}, ...order.map((n) => ({ label: series[n].name, stroke: series[n].colour, fill: series[n].colour, paths: Plot.paths.bars?.({ size: [0.7, 40] }), points: { show: false } }))],
        },
        /** @type {any} */ ([at, ...order.map((n) => tops[n])]),
        target,
      );
      watcher.observe(target);
    });
    return () => {
      gone = true;
      watcher.disconnect();
      drawn?.destroy();
    };
  }, [label, JSON.stringify(series)]);
  return html`<div class="plot" ref=${place} role="img" aria-label=${label}></div>`;
}

/** The names to the colours, each with its sum. @param {{ series: Series[], said?: (series: Series) => any }} props */
export const Key = ({ series, said }) => html`<ul class="legend">${series.map((each) => html`<li><span class="dot" style=${{ background: each.colour }}></span>${each.name}${said ? html`: <strong>${said(each)}</strong>` : ""}</li>`)}</ul>`;
