/** What the pages are put together of. */
import { ApiError, call } from "./api.js";
import { html, useEffect, useMemo, useRef, useState } from "./html.js";
import { floored, plus } from "./decimals.js";
import { away, countdown, exactTime, number, time } from "./words.js";

/**
 * The answers to calls that only read, made together, and again when one of them changes.
 *
 * @param {Record<string, [string, Record<string, unknown>?]>} calls the call and its body, by the name of its answer
 */
export function useAnswers(calls) {
  const [state, set] = useState(/** @type {{ data: any, error: Error | null, busy: boolean }} */ ({ data: null, error: null, busy: true }));
  const [turn, again] = useState(0);
  const asked = JSON.stringify(calls);
  useEffect(() => {
    const abort = new AbortController();
    set((old) => ({ ...old, busy: true }));
    const names = Object.keys(calls);
    Promise.all(names.map((name) => call(calls[name][0], calls[name][1], { signal: abort.signal }))).then(
      (answers) => set({ data: Object.fromEntries(names.map((name, n) => [name, answers[n]])), error: null, busy: false }),
      (error) => abort.signal.aborted || set((old) => ({ ...old, error, busy: false })),
    );
    return () => abort.abort();
  }, [asked, turn]);
  return { ...state, reload: () => again((n) => n + 1) };
}

/**
 * A call that changes something: what it did, or why it did not, is told.
 *
 * @param {() => void} [then]
 */
export function useAction(then) {
  const [state, set] = useState(/** @type {{ busy: boolean, error: Error | null, done: string }} */ ({ busy: false, error: null, done: "" }));
  /** @param {string} did @param {string} name @param {Record<string, unknown>} body */
  const act = async (did, name, body) => {
    set({ busy: true, error: null, done: "" });
    try {
      const answer = await call(name, body);
      set({ busy: false, error: null, done: did });
      then?.();
      return answer;
    } catch (error) {
      set({ busy: false, error: /** @type {Error} */ (error), done: "" });
      return null;
    }
  };
  return { ...state, act };
}

/** What an action did, or why it did not. @param {{ action: { busy: boolean, error: Error | null, done: string } }} props */
export const Told = ({ action }) => html`
  <div role="status" class="told">${action.busy ? "Working …" : action.done && html`<p class="done">${action.done}</p>`}</div>
  <${Problem} error=${action.error} />`;

/** An error in the API's words. @param {{ error: Error | null, retry?: () => void }} props */
export function Problem({ error, retry }) {
  if (!error) return null;
  const code = error instanceof ApiError && error.code ? `${error.status || ""} ${error.code}`.trim() : "";
  return html`<div role="alert" class="problem">
    <p>${error.message}</p>
    ${code && html`<p class="quiet">${code}</p>`}
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** A page's head. @param {{ title: string, children?: any }} props */
export function Head({ title, children }) {
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    document.title = `${title} · Tollgate`;
    heading.current?.focus({ preventScroll: true });
  }, [title]);
  return html`<header class="head"><h1 tabindex="-1" ref=${heading}>${title}</h1>${children}</header>`;
}

/**
 * A part of a page with a heading. One that was `opened` is gone to.
 *
 * @param {{ title: string, aside?: any, opened?: boolean, children?: any }} props
 */
export function Part({ title, aside, opened = false, children }) {
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!opened) return;
    heading.current?.scrollIntoView({ block: "start" });
    heading.current?.focus({ preventScroll: true });
  }, []);
  return html`<section class="part" aria-label=${title}>
    <div class="part-head"><h2 tabindex=${opened ? -1 : undefined} ref=${heading}>${title}</h2>${aside}</div>${children}</section>`;
}

let made = 0;

/** An id that nothing else of the page has. @param {string} name */
const useOwnId = (name) => useMemo(() => `f-${name}-${(made += 1)}`, [name]);

/** A field with its label. @param {{ label: string, hint?: string, name: string, children?: any, [more: string]: any }} props */
export function Field({ label, hint, name, children, ...more }) {
  const id = useOwnId(name);
  const told = hint ? `${id}-hint` : undefined;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${children ? children(id, told) : html`<input id=${id} name=${name} aria-describedby=${told} autocomplete="off" spellcheck=${false} ...${more} />`}
    ${hint && html`<p class="hint" id=${told}>${hint}</p>`}
  </div>`;
}

/** A box to be ticked, with its label. @param {{ label: string, name: string, [more: string]: any }} props */
export function Tick({ label, name, ...more }) {
  const id = useOwnId(name);
  return html`<p class="check"><input type="checkbox" id=${id} name=${name} ...${more} /><label for=${id}>${label}</label></p>`;
}

/** What was typed in a form, by name. @param {Event} event @returns {Record<string, string>} */
export function typed(event) {
  event.preventDefault();
  const data = new FormData(/** @type {HTMLFormElement} */ (event.target));
  return Object.fromEntries([...data].map(([name, value]) => [name, String(value).trim()]));
}

/** Who is told of the time each second: one timer, however many look. */
const watchers = /** @type {Set<(now: number) => void>} */ (new Set());
let timer = 0;

/** The wall clock's time, every so many seconds. @param {number} every */
export function useNow(every) {
  const [now, set] = useState(Date.now);
  useEffect(() => {
    let seconds = 0;
    const watcher = (/** @type {number} */ at) => {
      seconds += 1;
      if (seconds % every === 0) set(at);
    };
    watchers.add(watcher);
    timer ||= setInterval(() => watchers.forEach((each) => each(Date.now())), 1000);
    return () => {
      watchers.delete(watcher);
      if (watchers.size > 0) return;
      clearInterval(timer);
      timer = 0;
    };
  }, [every]);
  return now;
}

const LIVE_MS = 3000;

/** Reads again every few seconds while it is on and somebody looks. @param {() => void} reload */
export function useLive(reload) {
  const [live, follow] = useState(false);
  useEffect(() => {
    if (!live) return;
    const timer = setInterval(() => document.hidden || reload(), LIVE_MS);
    return () => clearInterval(timer);
  }, [live]);
  return html`<button type="button" aria-pressed=${live ? "true" : "false"} onClick=${() => follow(!live)}>${live ? "Live: on" : "Live: off"}</button>`;
}

/** An instant, and how far away it is. @param {{ at: number, relative?: boolean }} props */
export function When({ at, relative = false }) {
  const now = useNow(30);
  return html`<time datetime=${new Date(at).toISOString()} title=${exactTime(at)}>${relative ? away(at, now) : time(at)}</time>`;
}

/** The time until an instant, counted down to the second. @param {{ at: number }} props */
export function Countdown({ at }) {
  const now = useNow(1);
  return html`<time class="countdown" datetime=${new Date(at).toISOString()} title=${exactTime(at)}>${at > now ? `in ${countdown(at, now)}` : "now"}</time>`;
}

/** @typedef {{ kind: string, name: string, amount: import("./decimals.js").Value }} BarPart */

/** Those parts that there is something of. @param {BarPart[]} parts */
const some = (parts) => parts.filter(({ amount }) => Number(amount) > 0);

/**
 * Parts of a whole as one bar; the same is told in words to whoever does not see it.
 *
 * @param {{ parts: BarPart[], label: string }} props
 */
export function Bar({ parts, label }) {
  const shown = some(parts);
  const whole = Number(plus(...shown.map(({ amount }) => amount)));
  const said = shown.map((part) => `${number(part.amount)} ${part.name}`).join(", ") || "nothing";
  return html`<div class="bar" role="img" aria-label=${`${label}: ${said}`}>
    ${shown.map((part) => html`<span class=${`bar-${part.kind}`} style=${{ flexGrow: Number(part.amount) / whole }} title=${`${number(part.amount)} ${part.name}`}></span>`)}
  </div>`;
}

/** The words to a bar's colours. @param {{ parts: BarPart[] }} props */
export const Legend = ({ parts }) => html`<ul class="legend">
  ${some(parts).map((part) => html`<li><span class=${`dot bar-${part.kind}`}></span>${number(part.amount)} ${part.name}</li>`)}
</ul>`;

/** A use and what is left of a limit. @param {import("./decimals.js").Value} used @param {import("./decimals.js").Value} left @returns {BarPart[]} */
export const usedAndLeft = (used, left) => [
  { kind: "used", name: "used", amount: used },
  { kind: "left", name: "left", amount: floored(left) },
];

/** What is read and shown only once somebody opens it. @param {{ title: string, children: () => any }} props */
export function Opened({ title, children }) {
  const [opened, open] = useState(false);
  return html`<details onToggle=${(/** @type {any} */ event) => event.target.open && open(true)}><summary>${title}</summary>${opened && children()}</details>`;
}

const LONG = 160;

/** Text that may be long: its beginning, and all of it if asked for. @param {{ text: string }} props */
export const Long = ({ text }) =>
  text.length <= LONG ? html`<code>${text}</code>` : html`<details class="long"><summary><code>${[...text].slice(0, LONG).join("")}…</code></summary><code>${text}</code></details>`;

/** An object's fields as JSON; nothing where it has none. @param {Record<string, unknown> | null | undefined} fields */
export const fieldsOf = (fields) => (fields && Object.keys(fields).length > 0 ? html`<${Long} text=${JSON.stringify(fields)} />` : null);

/**
 * A table that becomes a list of cards where there is no room. `sorted` names the column that the rows are in the order
 * of, and links to the other order.
 *
 * @param {{ label: string, columns: string[], rows: any[][], empty: string, busy?: boolean, sorted?: { by: string, order: "ascending" | "descending", other: string } }} props
 */
export const Table = ({ label, columns, rows, empty, busy, sorted }) =>
  rows.length === 0 && !busy
    ? html`<p class="empty">${empty}</p>`
    : html`<div class="table" aria-busy=${busy ? "true" : "false"}><table>
        <caption class="unseen">${label}</caption>
        <thead><tr>${columns.map((name) => (sorted?.by === name
          ? html`<th scope="col" aria-sort=${sorted.order}><a class="wide" href=${sorted.other}>${name}<svg class="order" viewBox="0 0 10 6" aria-hidden="true"><path d=${sorted.order === "ascending" ? "M0 6h10L5 0z" : "M0 0h10L5 6z"} /></svg></a><span class="narrow">${name}</span></th>`
          : html`<th scope="col">${name || html`<span class="unseen">Actions</span>`}</th>`))}</tr></thead>
        <tbody>${rows.map((cells) => html`<tr>${cells.map((cell, n) => html`<td data-label=${columns[n]} class=${none(cell) ? "none" : undefined}>${none(cell) ? html`<span class="quiet">–</span>` : html`<div class="cell">${cell}</div>`}</td>`)}</tr>`)}</tbody>
      </table></div>`;

/** @param {unknown} cell */
const none = (cell) => cell === null || cell === undefined || cell === "";

/** Pages of a list that the API pages by cursor. Begins anew where `of` changes. @param {string} of */
export function usePages(of) {
  const [state, set] = useState({ of, cursors: [""] });
  const cursors = state.of === of ? state.cursors : [""];
  return {
    cursor: cursors[cursors.length - 1],
    number: cursors.length,
    next: (/** @type {string} */ cursor) => set({ of, cursors: [...cursors, cursor] }),
    back: () => set({ of, cursors: cursors.slice(0, -1) }),
  };
}

/** @param {{ pages: ReturnType<typeof usePages>, next: string | null | undefined }} props */
export const Pages = ({ pages, next }) => html`<nav class="pages" aria-label="Pages">
  <button type="button" disabled=${pages.number === 1} onClick=${pages.back}>Previous</button>
  <span>Page ${pages.number}</span>
  <button type="button" disabled=${!next} onClick=${() => next && pages.next(next)}>Next</button>
</nav>`;

/** Text to be copied. @param {{ label: string, text: string }} props */
export function Code({ label, text }) {
  const [copied, set] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    set(true);
  };
  return html`<div class="code">
    <pre tabindex="0" aria-label=${label}><code>${text}</code></pre>
    <button type="button" class="small" onClick=${copy}>${copied ? "Copied" : "Copy"}</button>
  </div>`;
}

/** A word about a state, coloured by its kind. @param {{ kind: string, children?: any }} props */
export const Tag = ({ kind, children }) => html`<span class=${`tag tag-${kind}`}>${children}</span>`;
