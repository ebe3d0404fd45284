/** A bar chart of a few numbers. */

import type { ReactNode } from "react";

import { useLocale } from "../../ui/format";

export type BarRow = {
  name: string;
  label?: ReactNode;
  value: number | undefined;
  /** Whether counting stopped at this number. */
  more?: boolean;
};

export function Bars({ rows }: { rows: readonly BarRow[] }) {
  const locale = useLocale();
  const most = Math.max(1, ...rows.map(({ value }) => value ?? 0));
  return (
    <ul className="bars">
      {rows.map(({ name, label = name, value, more = false }) => (
        <li key={name}>
          <span>{label}</span>
          <meter min={0} max={most} value={value ?? 0} aria-label={name} />
          {value === undefined ? <span className="skeleton" /> : <span className="number">{value.toLocaleString(locale)}{more && "+"}</span>}
        </li>
      ))}
    </ul>
  );
}
