// A page that uses autumn-js's React hooks, in jsdom: `node react.mjs <backend's address> <customer> <version of autumn-js>`.
//
// A line `["useCustomer", {...}, ["check", {...}], ...]` mounts the page anew with that hook, waits until it has loaded, calls
// what the hook gives, one after the other, and answers with the hook's state and what the calls gave.

import { JSDOM } from "jsdom";
import { serve } from "./program.mjs";

const [backend, customer, version] = process.argv.slice(2);

const { window } = new JSDOM("<!doctype html><main></main>", { url: backend, pretendToBeVisual: true });
Object.assign(globalThis, { window, document: window.document, HTMLElement: window.HTMLElement });

const { createElement, useEffect } = await import("react");
const { createRoot } = await import("react-dom/client");
const hooks = await import(version === "0" ? "autumn-js-0/react" : "autumn-js/react");

const SETTLED_MS = 30_000;

function Page({ hook, parameters, show }) {
  const state = hooks[hook](parameters);
  useEffect(() => show(state));
  return null;
}

function page(hook, parameters) {
  let state, failure;
  const options = { onUncaughtError: (error) => (failure = error) };
  const root = createRoot(window.document.querySelector("main"), options);
  const show = (latest) => {
    state = latest;
  };
  const provider = { backendUrl: backend, headers: { "x-customer": customer } };
  root.render(
    createElement(hooks.AutumnProvider, provider, createElement(Page, { hook, parameters, show })),
  );
  const settled = async () => {
    const end = Date.now() + SETTLED_MS;
    do {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (failure) throw failure;
      if (Date.now() > end) throw new Error(`${hook} is still loading`);
    } while (!state || state.isLoading || state.isFetching);
    return state;
  };
  return { settled, close: () => root.unmount() };
}

await serve(async (hook, parameters, ...calls) => {
  const shown = page(hook, parameters);
  try {
    let state = await shown.settled();
    const results = [];
    for (const [name, ...rest] of calls) {
      results.push(await state[name](...rest));
      state = await shown.settled();
    }
    const error = state.error && { code: state.error.code, message: state.error.message };
    return { ...state, promise: undefined, error, results };
  } finally {
    shown.close();
  }
});
