/** Sums of amounts that keep every digit, as the API's own do. */
import { Amount } from "./api.js";

/** @typedef {number | string | Amount | null | undefined} Value */

/** An amount as an integer and its places after the point. @param {Value} value @returns {[bigint, number]} */
function scaled(value) {
  const [, sign, whole, part = "", power = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(String(value ?? 0)) ?? ["", "", "0"];
  const places = part.length - Number(power);
  const digits = BigInt(`${sign}${whole}${part}`);
  return places < 0 ? [digits * 10n ** BigInt(-places), 0] : [digits, places];
}

/** The sum of all. What is null or absent is nothing. @param {Value[]} values @returns {number | Amount} */
export function plus(...values) {
  const parts = values.map(scaled);
  const places = Math.max(0, ...parts.map(([, each]) => each));
  const whole = parts.reduce((sum, [digits, each]) => sum + digits * 10n ** BigInt(places - each), 0n);
  const text = String(whole < 0n ? -whole : whole).padStart(places + 1, "0");
  const point = text.length - places;
  const part = text.slice(point).replace(/0+$/, "");
  return Amount.read(`${whole < 0n ? "-" : ""}${text.slice(0, point)}${part && `.${part}`}`);
}

/** What is left of the first without the others. @param {Value} first @param {Value[]} others */
export const minus = (first, ...others) => plus(first, ...others.map((each) => plus(each)).map((each) => (String(each).startsWith("-") ? String(each).slice(1) : `-${each}`)));

/** The smaller of both. @param {Value} one @param {Value} other @returns {Value} */
export const least = (one, other) => (below(minus(one, other)) ? one : other);

/** The amount, and nothing where it is below zero. @param {Value} value @returns {Value} */
export const floored = (value) => (below(value) ? 0 : value);

/** Whether it is below zero. @param {Value} value */
const below = (value) => scaled(value)[0] < 0n;
