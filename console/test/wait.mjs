// Waiting in steps: a check is repeated until a condition holds, for a bounded time. A single check is correct only for
// values that can no longer change.

import { setTimeout as pause } from "node:timers/promises";

export const WAIT_MS = Number(process.env.WAIT_MS ?? 60_000);
/** The interval between two checks in milliseconds. */
const LOOK_MS = 50;
/** A check may take longer than the whole time on a busy machine. One value may be that of a moment. */
const LEAST_LOOKS = 3;

/** Waits until `look` returns a value, or one that a predicate accepts, and returns it. */
export async function becomes(look, expected, what, { within = WAIT_MS } = {}) {
  const isPredicate = typeof expected === "function";
  let looks = 0;
  for (const end = performance.now() + within; ; await pause(LOOK_MS)) {
    const value = await look();
    if (isPredicate ? expected(value) : value === expected) return value;
    looks += 1;
    if (looks >= LEAST_LOOKS && performance.now() > end) throw new Error(`${what}: ${typeof value === "object" ? JSON.stringify(value) : value}${isPredicate ? "" : ` and not ${expected}`} after ${within / 1000} s`);
  }
}
