/** Signing in: an API key, which stays in this tab. */
import { call, keepKey } from "../api.js";
import { html, useState } from "../html.js";
import { Field, Head, Problem, typed } from "../parts.js";

/** @param {{ signedIn: (env: string) => void, refused: boolean }} props `refused`: the API knows the key that the tab had no more */
export function SignIn({ signedIn, refused }) {
  const [state, set] = useState(/** @type {{ busy: boolean, error: Error | null }} */ ({ busy: false, error: null }));
  const submit = async (/** @type {Event} */ event) => {
    const { key } = typed(event);
    set({ busy: true, error: null });
    try {
      const me = await call("GET organization/me", {}, { key });
      keepKey(key, me.env);
      signedIn(me.env);
    } catch (error) {
      set({ busy: false, error: /** @type {Error} */ (error) });
    }
  };
  return html`<main class="sign-in">
    <${Head} title="Sign in" />
    ${refused && html`<p role="alert" class="problem">The key of this tab is not accepted any more: it was revoked, or has expired. Sign in with another one to go on where you were.</p>`}
    <form onSubmit=${submit}>
      <${Field} label="Secret key" name="key" type="password" required
        hint="am_sk_…, of the sandbox or of live. It stays in this tab until you close it or sign out." />
      <button class="main" disabled=${state.busy}>${state.busy ? "Asking …" : "Sign in"}</button>
      <${Problem} error=${state.error} />
    </form>
    <p class="quiet">The console does what the API does, with your key. <code>make run</code> prints one for the sandbox.</p>
  </main>`;
}
