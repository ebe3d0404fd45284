/** A key figure, with a link to the counted items. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { useText } from "../../text";
import { useLocale } from "../../ui/format";

export type Count = { data: { value: number; more: boolean } | undefined; error: unknown };
/** A value that is not shown as a plain number has its text in `shown`. */
type TileProps = { label: string; count: Count; shown?: string | undefined; to?: string; search?: Record<string, string>; alarming?: boolean };

export function Tile({ label, count, shown: text, to, search = {}, alarming = false }: TileProps) {
  const t = useText();
  const locale = useLocale();
  const { data, error } = count;
  let shown: ReactNode = <span className="skeleton" />;
  if (data) shown = text ?? `${data.value.toLocaleString(locale)}${data.more ? "+" : ""}`;
  else if (error) shown = <span className="none">{t("unknown")}</span>;
  const look = alarming && data && data.value > 0 ? "tile bad" : "tile";
  const inside = <><b>{shown}</b><span>{label}</span></>;
  return to === undefined ? <div className={look}>{inside}</div> : <Link className={look} to={to} search={search as never}>{inside}</Link>;
}
