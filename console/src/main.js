/** The console: who signed in, where they are, and the page of that place. */
import { REFUSED, environment, forgetKey } from "./api.js";
import { html, render, useEffect, useState } from "./html.js";
import { link, usePlace } from "./router.js";
import { SignIn } from "./pages/sign-in.js";
import { Overview } from "./pages/overview.js";
import { Customers } from "./pages/customers.js";
import { Customer } from "./pages/customer.js";
import { TryIt } from "./pages/try-it.js";
import { Why } from "./pages/why.js";
import { Plans } from "./pages/plans.js";
import { Features } from "./pages/features.js";
import { Events } from "./pages/events.js";
import { Keys } from "./pages/keys.js";
import { Api } from "./pages/api.js";

const PAGES = [
  ["", "Overview"],
  ["customers", "Customers"],
  ["try", "Try it"],
  ["why", "Why"],
  ["plans", "Plans"],
  ["features", "Features"],
  ["events", "Events"],
  ["keys", "Keys"],
  ["api", "API"],
];

/** @param {import("./router.js").Place} at */
function pageOf({ path, query }) {
  const [name = "", id] = path;
  if (name === "customers") return id ? html`<${Customer} key=${id} id=${id} />` : html`<${Customers} query=${query} />`;
  if (name === "try") return html`<${TryIt} key=${JSON.stringify(query)} query=${query} />`;
  if (name === "why") return html`<${Why} key=${JSON.stringify(query)} query=${query} />`;
  if (name === "plans") return html`<${Plans} />`;
  if (name === "features") return html`<${Features} />`;
  if (name === "events") return html`<${Events} query=${query} />`;
  if (name === "keys") return html`<${Keys} />`;
  if (name === "api") return html`<${Api} />`;
  return html`<${Overview} />`;
}

function App() {
  const [env, setEnv] = useState(environment);
  const [refused, refuse] = useState(false);
  const at = usePlace();
  useEffect(() => {
    if (env) document.documentElement.dataset.env = env;
    else delete document.documentElement.dataset.env;
  }, [env]);
  useEffect(() => {
    document.querySelector("[aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [env, at]);
  const signOut = (/** @type {boolean} */ was) => {
    forgetKey();
    refuse(was);
    setEnv(null);
  };
  useEffect(() => {
    const heard = () => signOut(true);
    addEventListener(REFUSED, heard);
    return () => removeEventListener(REFUSED, heard);
  }, []);
  if (env === null) return html`<${SignIn} signedIn=${setEnv} refused=${refused} />`;
  const here = at.path[0] ?? "";
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the page</a>
    <div class="shell">
      <header class="top">
        <a class="brand" href=${link([])}>Tollgate</a>
        <strong class="env">${env === "live" ? "Live: real customers" : "Sandbox"}</strong>
        <nav aria-label="Console"><ul>
          ${PAGES.map(([path, name]) => html`<li><a href=${link(path ? [path] : [])} aria-current=${here === path ? "page" : undefined}>${name}</a></li>`)}
        </ul></nav>
        <button type="button" class="small" onClick=${() => signOut(false)}>Sign out</button>
      </header>
      <main id="main" tabindex="-1">${pageOf(at)}</main>
    </div>`;
}

const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
