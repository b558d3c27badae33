/** One series by day as bars. The library comes when the first chart is drawn. */
import { html, useEffect, useRef } from "./html.js";

const COLOURS = ["#2f6fe0", "#0f8a6d", "#b45309", "#8b5cf6", "#c2410c", "#0e7490", "#be185d", "#4d7c0f"];

const HALF_DAY = 43_200; // seconds

/** @param {number} n */
export const colour = (n) => COLOURS[n % COLOURS.length];

/** @param {{ label: string, at: number[], values: number[], colour: string }} props `at` in seconds */
export function Chart({ label, at, values, colour }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const target = place.current;
    if (!target) return;
    let drawn = /** @type {any} */ (null);
    let gone = false;
    const size = () => ({ width: Math.max(200, target.clientWidth), height: 140 });
    const watcher = new ResizeObserver(() => drawn?.setSize(size()));
    import("uplot").then(({ default: Plot }) => {
      if (gone) return;
      const ink = getComputedStyle(target).color;
      const axis = { stroke: ink, grid: { stroke: "#8884", width: 1 }, ticks: { show: false } };
      drawn = new Plot(
        {
          ...size(),
          legend: { show: false },
          cursor: { drag: { x: false, y: false } },
          scales: { x: { time: true, range: (/** @type {any} */ _, /** @type {number} */ first, /** @type {number} */ last) => [first - HALF_DAY, last + HALF_DAY] }, y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ most) => [0, most || 1] } },
          axes: [axis, { ...axis, size: 64 }],
          series: [{}, { label, stroke: colour, fill: `${colour}99`, paths: Plot.paths.bars?.({ size: [0.7, 40] }), points: { show: false } }],
        },
        [at, values],
        target,
      );
      watcher.observe(target);
    });
    return () => {
      gone = true;
      watcher.disconnect();
      drawn?.destroy();
    };
  }, [label, values.join()]);
  return html`<div class="plot" ref=${place} role="img" aria-label=${label}></div>`;
}
