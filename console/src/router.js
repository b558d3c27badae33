/** Where the operator is: the part of the address after `#`, which no server sees. No key is ever part of it. */
import { useEffect, useState } from "./html.js";

/** @typedef {{ path: string[], query: Record<string, string> }} Place */

/** @returns {Place} */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The link to a place. @param {string[]} path @param {Record<string, string | null | undefined>} [query] */
export function link(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value);
  const search = new URLSearchParams(/** @type {[string, string][]} */ (given)).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

/** The place, followed as it changes. */
export function usePlace() {
  const [at, go] = useState(place);
  useEffect(() => {
    const follow = () => {
      go(place());
      scrollTo(0, 0);
    };
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return at;
}
