/** Amounts in a user's notation. */

import { exponent } from "./format";

/** Returns `1234` for `12,34` or `12.34` of euros; undefined unless it is an amount of the currency. */
export function minor(text: string, currency: string): string | undefined {
  const [whole = "", fraction = "", ...rest] = text.trim().replace(",", ".").split(".");
  const digits = exponent(currency);
  if (rest.length > 0 || fraction.length > digits || !/^\d{1,12}$/.test(whole) || !/^\d*$/.test(fraction)) return undefined;
  return (whole + fraction.padEnd(digits, "0")).replace(/^0+(?=\d)/, "");
}

/** The inverse of `minor`. */
export function major(amountMinor: string, currency: string): string {
  const digits = exponent(currency);
  const text = amountMinor.padStart(digits + 1, "0");
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}
