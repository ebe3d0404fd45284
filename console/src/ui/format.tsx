/** Values in readable form: times, amounts of money, states, ids. */

import { Link } from "@tanstack/react-router";
import { useContext } from "react";

import { useIsStaff } from "../shell/user";
import { LanguageContext, useName, useText } from "../text";
import { useKnownName } from "./names";

export function useLocale(): string {
  const language = useContext(LanguageContext);
  const local = navigator.languages.find((candidate) => candidate.startsWith(language));
  return local ?? (language === "de" ? "de-DE" : "en-GB");
}

export function Time({ value }: { value: string | undefined }) {
  const locale = useLocale();
  if (!value) return <None />;
  const time = new Date(value);
  const text = time.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
  return <time dateTime={value} title={time.toISOString()}>{text}</time>;
}

/** Formats a time for inputs; empty if there is none. */
export function localTime(value: unknown): string {
  const time = new Date(typeof value === "string" ? value : Number.NaN);
  if (Number.isNaN(time.getTime())) return "";
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3600], ["minute", 60],
];

/** The elapsed time since an event. */
export function Age({ value }: { value: string | undefined }) {
  const locale = useLocale();
  if (!value) return <None />;
  const seconds = (Date.parse(value) - Date.now()) / 1000;
  const [unit, size] = STEPS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  const text = new Intl.RelativeTimeFormat(locale, { numeric: "always", style: "long" }).format(Math.trunc(seconds / size), unit);
  return <time dateTime={value} title={new Date(value).toLocaleString(locale)}>{text}</time>;
}

const UNITS: readonly [string, number][] = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]];

/** Formats a duration in the largest unit that it reaches. */
export function useDuration(): (ms: number) => string {
  const locale = useLocale();
  return (ms) => {
    const [unit, size] = UNITS.find(([, size]) => ms >= size) ?? ["millisecond", 1];
    return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 }).format(ms / size);
  };
}

/** Formats the size of a file. */
export function useSize(): (bytes: number) => string {
  const locale = useLocale();
  return (bytes) => {
    const step = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
    const unit = ["byte", "kilobyte", "megabyte", "gigabyte"][step] ?? "byte";
    return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: step === 0 ? "long" : "short", maximumFractionDigits: 1 }).format(bytes / 1000 ** step);
  };
}

export type MoneyValue = { amountMinor: string; currencyCode: string };

export function isMoney(value: unknown): value is MoneyValue {
  return typeof value === "object" && value !== null && "amountMinor" in value && "currencyCode" in value;
}

/** Returns the number of decimal places of a currency, also while its code is being typed. */
export function exponent(currency: string): number {
  if (!/^[A-Z]{3}$/.test(currency)) return 2;
  return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;
}

export function useMoney(): (value: MoneyValue) => string {
  const locale = useLocale();
  return ({ amountMinor, currencyCode }) => {
    const format = new Intl.NumberFormat(locale, { style: "currency", currency: currencyCode });
    return format.format(Number(amountMinor) / 10 ** exponent(currencyCode));
  };
}

export function Money({ value }: { value: MoneyValue | undefined }) {
  const money = useMoney();
  return value ? <span className="number">{money(value)}</span> : <None />;
}

/** The severity of a state, for its color. */
const TONES: readonly [RegExp, string][] = [
  [/_(FAILED|DEAD|CANCELLED|CANCELED|URGENT|DISABLED|DEACTIVATED|DECLINED|EXPIRED|PAST_DUE|UNPAID|LAPSED|LEVEL_ERROR)$/, "bad"],
  [/_(HIGH|PENDING|SCHEDULED|PARTIALLY_REFUNDED|REFUNDED|RETRYING|INCOMPLETE|LEVEL_WARNING)$/, "warn"],
  [/_(RESOLVED|SUCCEEDED|PAID|DELIVERED|ACTIVE|ENABLED|PUBLISHED|PROCESSED|VERIFIED)$/, "good"],
  [/_(OPEN|IN_PROGRESS|RUNNING|MEDIUM|ADMIN|AGENT)$/, "info"],
];

export function Badge({ value }: { value: string | undefined }) {
  const name = useName();
  if (!value || value.endsWith("_UNSPECIFIED")) return <None />;
  const tone = TONES.find(([pattern]) => pattern.test(value))?.[1] ?? "plain";
  return <span className={`badge ${tone}`}>{name(value)}</span>;
}

export function None() {
  const t = useText();
  return <span className="none" aria-label={t("none")}>–</span>;
}

/** Returns the end of an id, because ids of the same hour differ only there. */
export function short(id: string): string {
  return id.slice(-8);
}

const PAGES: Record<string, string> = {
  ticketId: "/tickets/$id",
  paymentId: "/payments/$id",
  orderId: "/orders/$id",
  subscriptionId: "/subscriptions/$id",
};

/** The pages of people and accounts, which only staff may read. */
const STAFF_PAGES: Record<string, string> = {
  accountId: "/customers/$id",
  endpointId: "/webhooks/$id",
  userId: "/people/$id",
  authorId: "/people/$id",
  assigneeId: "/people/$id",
  requesterId: "/people/$id",
};

/** An id, or the name of its resource, which staff see for accounts and colleagues, with a link to its page if fields of this name have one. */
export function Id({ value, field, name }: { value: string | undefined; field?: string; name?: string | undefined }) {
  const isStaff = useIsStaff();
  const known = useKnownName(field, value);
  if (!value) return <None />;
  const to = field === undefined ? undefined : (PAGES[field] ?? (isStaff ? STAFF_PAGES[field] : undefined));
  const text = name ?? known ?? <code title={value}>{short(value)}</code>;
  return to ? <Link to={to} params={{ id: value }}>{text}</Link> : text;
}
