/** Markup as tagged templates, and what of Preact the pages use. */
import htm from "htm";
import { h } from "preact";

export { render } from "preact";
export { useEffect, useMemo, useRef, useState } from "preact/hooks";

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);
