/** Fields that let one choose of what the catalog has. Their list is asked for when they are shown. */
import { html } from "./html.js";
import { Field, Problem, useAnswers } from "./parts.js";

/** @type {Record<string, (feature: any) => boolean>} */
const KINDS = {
  any: () => true,
  used: ({ type }) => !["boolean", "static"].includes(type),
  counting: ({ type, consumable }) => type === "metered" && !consumable,
};

/** The features of a kind: `any`, those that are `used`, those `counting` entities. @param {string} kind */
export function useFeatures(kind) {
  const { data, error, reload } = useAnswers({ features: ["features.list"] });
  return { features: /** @type {any[]} */ (data?.features.list ?? []).filter(KINDS[kind]), read: data !== null, error, reload };
}

/** The options of a choice of features. @param {{ features: any[], value?: string, none?: string }} props `none`: what choosing none means, where one may */
export const FeatureOptions = ({ features, value, none }) => html`
  ${none ? html`<option value="">${none}</option>` : value === "" && html`<option value="">Choose</option>`}
  ${value && !features.some(({ id }) => id === value) && html`<option value=${value}>${value}</option>`}
  ${features.map(({ id, name }) => html`<option key=${id} value=${id}>${name && name !== id ? `${name} (${id})` : id}</option>`)}`;

/** @param {{ label: string, name: string, kind: string }} props */
export function FeatureField({ label, name, kind }) {
  const { features, read, error, reload } = useFeatures(kind);
  const empty = read && features.length === 0 ? "There is none: make one on the page Features." : undefined;
  return html`<${Field} label=${label} name=${name} hint=${empty}>${(/** @type {string} */ id) => html`
    <select id=${id} name=${name} required><${FeatureOptions} features=${features} /></select><${Problem} error=${error} retry=${reload} />`}<//>`;
}
