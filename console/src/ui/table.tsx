/** A table of resources whose first column links to each resource's page, with its loading, empty and failed states. */

import type { ReactNode } from "react";

import { useText } from "../text";
import { Problem } from "./problem";

export type Column<T> = {
  name: string;
  label: string;
  cell: (row: T) => ReactNode;
  /** Hidden on narrow screens. */
  wide?: boolean;
  number?: boolean;
  /** Whether the heading is shown to screen readers only. */
  unlabelled?: boolean;
};

type PageMeta = { page?: number; pageSize?: number; total?: string; totalPages?: number; nextPageToken?: string; totalIsLowerBound?: boolean };
export type Page<T> = { data: readonly T[]; meta?: PageMeta };

type TableProps<T> = {
  label: string;
  columns: readonly Column<T>[];
  query: { data?: Page<T> | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
  rowKey: (row: T) => string;
  rowProps?: (row: T, index: number) => Record<string, unknown>;
  /** The text of an empty table: its future contents, and how to create the first item. */
  empty: ReactNode;
};

/** The class of a column's cells. */
export function kindOf({ wide, number }: Pick<Column<never>, "wide" | "number">): string | undefined {
  return [wide && "wide-only", number && "number"].filter(Boolean).join(" ") || undefined;
}

const SKELETONS = ["a", "b", "c", "d", "e", "f"];

export function Table<T>({ label, columns, query, rowKey, rowProps, empty }: TableProps<T>) {
  const { data, error, isPending } = query;
  if (error && !data) return <Problem error={error} onRetry={() => void query.refetch()} />;
  const rows = data?.data ?? [];
  const problem = error != null && <Problem error={error} onRetry={() => void query.refetch()} />;
  // A list that was empty when it was last read may have items now.
  if (!isPending && rows.length === 0) return problem || <div className="empty">{empty}</div>;
  return (
    <div className="table" tabIndex={0} role="region" aria-label={label} aria-busy={isPending}>
      <table>
        <caption className="hidden">{label}</caption>
        <thead><tr>{columns.map((column) => <th key={column.name} scope="col" className={kindOf(column)}>{column.unlabelled ? <span className="hidden">{column.label}</span> : column.label}</th>)}</tr></thead>
        <tbody>
          {isPending && SKELETONS.map((key) => (
            <tr key={key} aria-hidden="true">{columns.map((column) => <td key={column.name} className={kindOf(column)}><span className="skeleton" /></td>)}</tr>
          ))}
          {rows.map((row, index) => (
            <tr key={rowKey(row)} {...rowProps?.(row, index)}>
              {columns.map((column) => <td key={column.name} className={kindOf(column)}>{column.cell(row)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
      {problem}
    </div>
  );
}

/** The navigation through the pages of a list. */
export function Pager({ meta, onPage }: { meta: PageMeta | undefined; onPage: (page: number) => void }) {
  const t = useText();
  const { page = 1, totalPages, total = "0", totalIsLowerBound = false } = meta ?? {};
  if (!meta || (totalPages ?? 1) <= 1) return meta ? <p className="pager"><span>{t("{total} total", { total })}</span></p> : null;
  return (
    <nav className="pager" aria-label={t("Pages")}>
      <button type="button" disabled={page <= 1} onClick={() => onPage(page - 1)}>{t("Previous")}</button>
      <span>{t("Page {page} of {pages}", { page, pages: `${totalPages ?? "?"}${totalIsLowerBound ? "+" : ""}` })} · {t("{total} total", { total: `${Number(total).toLocaleString()}${totalIsLowerBound ? "+" : ""}` })}</span>
      <button type="button" disabled={!meta.nextPageToken && page >= (totalPages ?? 1)} onClick={() => onPage(page + 1)}>{t("Next")}</button>
    </nav>
  );
}
