/** A line of the log, and its time, for the pages that show lines. */

import type { Schemas } from "../../api/client";
import { useLocale } from "../../ui/format";

export type SystemLog = Schemas["SystemLog"];

/** A time in milliseconds, which determines the order of lines. */
export function Moment({ value }: { value: string }) {
  const locale = useLocale();
  const time = new Date(value);
  const today = time.toDateString() === new Date().toDateString();
  const day: Intl.DateTimeFormatOptions = today ? {} : { day: "numeric", month: "short" };
  const text = time.toLocaleString(locale, { ...day, hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
  return <time className="number" dateTime={value} title={value}>{text}</time>;
}
