/** Numbers, times and codes as people read them. */

const NUMBER = new Intl.NumberFormat(undefined, { maximumFractionDigits: 20 });
const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const AWAY = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]];

/** An amount with all its digits. A float's are those that it can hold. @param {import("./decimals.js").Value} value */
export function number(value) {
  if (value === null || value === undefined) return "no limit";
  return NUMBER.format(/** @type {any} */ (typeof value === "number" ? Number(value.toPrecision(15)) : String(value)));
}

/** @param {number} ms */
export const time = (ms) => TIME.format(ms);

/** @param {number} ms */
export const exactTime = (ms) => EXACT.format(ms);

/** How far away an instant is: "in 3 days". @param {number} ms @param {number} now */
export function away(ms, now) {
  const [unit, length] = UNITS.find(([, each]) => Math.abs(ms - now) >= each) ?? UNITS[UNITS.length - 1];
  return AWAY.format(Math.trunc((ms - now) / length), unit);
}

/** The time until an instant, to the second: "2 d 03:14:05". @param {number} ms @param {number} now */
export function countdown(ms, now) {
  const seconds = Math.max(0, Math.floor((ms - now) / 1000));
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map((each) => String(each).padStart(2, "0")).join(":");
  const days = Math.floor(seconds / 86_400);
  return days ? `${number(days)} d ${clock}` : clock;
}

/** `balance_exhausted` as words. @param {string} code */
export const words = (code) => code.replaceAll("_", " ");

/** @param {{ interval: string, interval_count?: number } | null} reset */
export function period(reset) {
  if (!reset || reset.interval === "one_off") return "never resets";
  const count = reset.interval_count ?? 1;
  return count === 1 ? `every ${words(reset.interval)}` : `every ${count} ${words(reset.interval)}s`;
}
