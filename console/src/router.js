/** Where the operator is: the part of the address after `#`, which no server sees. No key is ever part of it. */
import { useEffect, useState } from "./html.js";

/** @typedef {{ path: string[], query: Record<string, string> }} Place */

/** @returns {Place} */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(plain), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** A part of the path without its escapes; as it is where somebody typed it with a percent sign. @param {string} part */
function plain(part) {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
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
