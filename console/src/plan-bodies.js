/** A plan as the API takes it back, and what two of them have otherwise. */
import { write } from "./api.js";

/** A plan as `plans.update` takes it back. @param {any} plan */
export function bodyOf(plan) {
  const items = plan.items.map((/** @type {any} */ { display, ...item }) => Object.fromEntries(Object.entries(item).filter(([, value]) => value !== null && value !== false)));
  return { plan_id: plan.id, name: plan.name, group: plan.group, add_on: plan.add_on, auto_enable: plan.auto_enable, items };
}

/** @param {any} plan */
const linesOf = (plan) => (write(bodyOf(plan), 2) ?? "").split("\n");

/**
 * The lines of both as JSON, with `-` before those that the first alone has, `+` before those of the second, and two
 * spaces before those of both: the longest that they have in common. Empty where they do not differ.
 *
 * @param {any} first @param {any} second
 */
export function difference(first, second) {
  const [before, after] = [linesOf(first), linesOf(second)];
  // common[i][j]: how many lines the rest of `before` from i and of `after` from j have in common
  const common = Array.from({ length: before.length + 1 }, () => new Uint16Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      common[i][j] = before[i] === after[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const told = [];
  for (let i = 0, j = 0; i < before.length || j < after.length; ) {
    if (i < before.length && before[i] === after[j]) {
      told.push(`  ${before[i]}`);
      i += 1;
      j += 1;
    } else if (j >= after.length || (i < before.length && common[i + 1][j] >= common[i][j + 1])) {
      told.push(`- ${before[i]}`);
      i += 1;
    } else {
      told.push(`+ ${after[j]}`);
      j += 1;
    }
  }
  return told.every((line) => line.startsWith("  ")) ? "" : told.join("\n");
}
