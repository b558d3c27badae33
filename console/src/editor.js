/** A body as a form and as JSON, side by side: each follows the other as one types. */
import { parse, write } from "./api.js";
import { html, useState } from "./html.js";
import { Field } from "./parts.js";

/**
 * @param {Record<string, any>} first
 */
export function useBody(first) {
  const [state, set] = useState({ body: first, text: write(first, 2), problem: "" });
  return {
    ...state,
    /** The form changed. @param {Record<string, any>} change */
    change: (change) => set(({ body }) => {
      const next = Object.fromEntries(Object.entries({ ...body, ...change }).filter(([, value]) => value !== undefined));
      return { body: next, text: write(next, 2), problem: "" };
    }),
    /** The JSON changed. @param {string} text */
    type: (text) => set((old) => {
      try {
        const body = parse(text);
        if (typeof body !== "object" || body === null || Array.isArray(body)) return { ...old, text, problem: "This must be an object." };
        return { body, text, problem: "" };
      } catch (error) {
        return { ...old, text, problem: /** @type {Error} */ (error).message };
      }
    }),
    /** @param {Record<string, any>} body */
    restart: (body) => set({ body, text: write(body, 2), problem: "" }),
  };
}

/** @param {{ editor: ReturnType<typeof useBody>, rows?: number }} props */
export const Json = ({ editor, rows = 14 }) => html`<${Field} label="The same as JSON" name="json">${(/** @type {string} */ id) => html`
  <textarea id=${id} rows=${rows} spellcheck=${false} value=${editor.text} aria-invalid=${editor.problem ? "true" : "false"}
    aria-describedby=${`${id}-problem`} onInput=${(/** @type {any} */ event) => editor.type(event.target.value)}></textarea>
  <p id=${`${id}-problem`} class="hint bad" role="status">${editor.problem}</p>`}<//>`;
