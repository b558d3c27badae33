// Reads the reference's page as a browser would, in jsdom: `node reference.mjs <address>`.
//
// A line `["try", fragment, key]` loads the page at that fragment, sends the example that it shows there with that key, and answers
// with what is shown, what the page asked for, what went wrong in it, and what its policy would not have let it do: jsdom itself
// knows no such policies.

import { JSDOM, requestInterceptor, VirtualConsole } from "jsdom";
import { serve } from "./program.mjs";

const [address] = process.argv.slice(2);
const PATIENCE_MS = 60_000;

async function tried(fragment, key) {
  const asked = new Set();
  const wrong = [];
  const forbidden = [];
  const virtualConsole = new VirtualConsole();
  virtualConsole.on("jsdomError", (error) => wrong.push(error.message));
  const watch = (window) => {
    window.fetch = async (input, init) => {
      const url = new URL(input.url ?? input, window.location.href).href;
      asked.add(url);
      return fetch(url, init);
    };
    const light = () => ({ matches: false, addEventListener() {}, removeEventListener() {} });
    Object.assign(window, { Headers, Request, Response, structuredClone, matchMedia: light, scrollTo() {} });
    const refuse = (what) => () => {
      forbidden.push(what);
      throw new window.EvalError(what);
    };
    window.eval = refuse("eval");
    window.Function = new Proxy(window.Function, { apply: refuse("Function"), construct: refuse("Function") });
    const { setAttribute } = window.Element.prototype;
    window.Element.prototype.setAttribute = function (name, value) {
      if (name === "style") forbidden.push(`style="${value}"`);
      return setAttribute.call(this, name, value);
    };
  };
  const dom = await JSDOM.fromURL(`${address}/docs${fragment}`, {
    runScripts: "dangerously",
    pretendToBeVisual: true,
    virtualConsole,
    beforeParse: watch,
    resources: { interceptors: [requestInterceptor((request) => void asked.add(request.url))] },
  });
  const { document } = dom.window;
  const shown = async (selector) => {
    const end = Date.now() + PATIENCE_MS;
    while (!document.querySelector(selector)) {
      if (Date.now() > end) throw new Error(`${selector} is not shown: ${wrong} ${document.body.textContent.slice(0, 500)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return document.querySelector(selector);
  };
  const texts = (selector) => [...document.querySelectorAll(selector)].map((found) => found.textContent);
  await shown(".opblock.is-open .responses-wrapper");
  dom.window.ui.preauthorizeApiKey("key", key);
  (await shown(".opblock.is-open .try-out__btn")).click();
  (await shown(".opblock.is-open .execute")).click();
  const answered = await shown(".live-responses-table .response .response-col_status");
  const answer = {
    title: document.querySelector(".info .title").textContent,
    documents: texts(".topbar select option"),
    open: texts(".opblock.is-open .opblock-summary-path"),
    status: answered.textContent.trim(),
    body: texts(".live-responses-table .response .highlight-code")[0],
    asked: [...asked],
    wrong: [...wrong, ...texts(".fallback")],
    forbidden: [...forbidden, ...texts("style")],
  };
  dom.window.close();
  return answer;
}

await serve((_, fragment, key) => tried(fragment, key));
