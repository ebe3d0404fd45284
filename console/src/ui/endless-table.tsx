/** A virtualized table: only the visible rows are in the document. The window scrolls. */

import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useImperativeHandle, useLayoutEffect, useRef, useState, type ReactNode, type Ref } from "react";

import { kindOf, type Column } from "./table";

/** The height of a row of two lines, until it is measured. */
const ROW_PX = 64;
const OVERSCAN = 12;
/** The covered heights at the window's ends: the bars and the table's head at the top, the messages at the bottom. */
const ABOVE_PX = 170;
const BELOW_PX = 160;
/** The interval at which the visible rows are reported while the table scrolls, in milliseconds. */
const LOOK_MS = 100;

/** Scrolls to a row and focuses its link. */
export type Reveal = (index: number) => void;

type EndlessTableProps<T> = {
  ref: Ref<Reveal>;
  label: string;
  columns: readonly Column<T>[];
  count: number;
  /** Undefined for a row that is not loaded. */
  at: (index: number) => T | undefined;
  /** The index of the current row, or -1. */
  current: number;
  /** The index of the row at which the table begins, or -1. */
  start: number;
  /** Called when the user selects a row, by a click or by focusing it. */
  onCurrent: (index: number) => void;
  onLook: (from: number, to: number) => void;
  children?: ReactNode;
};

export function EndlessTable<T>({ ref, label, columns, count, at, current, start, onCurrent, onLook, children }: EndlessTableProps<T>) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [above, setAbove] = useState(0);
  const table = useWindowVirtualizer({
    count, estimateSize: () => ROW_PX, overscan: OVERSCAN, scrollMargin: above, scrollPaddingStart: ABOVE_PX, scrollPaddingEnd: BELOW_PX,
    useFlushSync: false,
  });
  useLayoutEffect(() => {
    const top = Math.round((body.current?.getBoundingClientRect().top ?? 0) + scrollY);
    if (top !== above) setAbove(top);
  });
  const items = table.getVirtualItems();
  const [from, to] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  useLook(from, to, onLook);
  const wanted = useRef<{ row: number; align: "auto" | "center" } | undefined>(undefined);
  const reveal = (index: number) => {
    const row = Math.min(index, count - 1);
    const isNear = body.current?.querySelector(`[data-index="${row}"] a`);
    wanted.current = { row, align: isNear ? "auto" : "center" };
    table.scrollToIndex(row, { align: wanted.current.align });
  };
  useImperativeHandle(ref, () => reveal);
  useEffect(() => {
    // After the shell has focused the page, and only if the focus has not moved meanwhile.
    const frame = requestAnimationFrame(() => {
      if (start >= 0 && document.activeElement?.matches("body, main")) reveal(start);
    });
    return () => cancelAnimationFrame(frame);
  }, []);
  useEffect(() => {
    const link = wanted.current && body.current?.querySelector<HTMLElement>(`[data-index="${wanted.current.row}"] a`);
    if (!wanted.current || !link) return;
    const { row, align } = wanted.current;
    wanted.current = undefined;
    link.focus({ preventScroll: true });
    // Repeated, because the rendered rows may be higher than estimated.
    if (align === "center") table.scrollToIndex(row, { align });
  });
  const enter = ({ target }: { target: EventTarget }) => {
    const row = target instanceof Element ? target.closest<HTMLElement>("tr[data-index]") : null;
    if (row) onCurrent(Number(row.dataset.index));
  };
  const before = (items[0]?.start ?? above) - above;
  const after = table.getTotalSize() - ((items.at(-1)?.end ?? above) - above);
  return (
    <div className="table endless" tabIndex={0} role="region" aria-label={label}>
      <table aria-rowcount={count + 1}>
        <caption className="hidden">{label}</caption>
        <colgroup>{columns.map((column) => <col key={column.name} className={`column-${column.name} ${kindOf(column) ?? ""}`} />)}</colgroup>
        <thead><tr aria-rowindex={1}>{columns.map((column) => <th key={column.name} scope="col" className={kindOf(column)}>{column.unlabelled ? <span className="hidden">{column.label}</span> : column.label}</th>)}</tr></thead>
        <tbody ref={body} onFocus={enter} onClick={enter}>
          {before > 0 && <Room height={before} />}
          {items.map(({ index }) => {
            const row = at(index);
            return (
              <tr key={index} ref={table.measureElement} data-index={index} data-current={index === current} aria-current={index === current || undefined} aria-rowindex={index + 2}>
                {columns.map((column) => <td key={column.name} className={kindOf(column)}>{row === undefined ? <span className="skeleton" /> : column.cell(row)}</td>)}
              </tr>
            );
          })}
          {after > 0 && <Room height={after} />}
        </tbody>
      </table>
      {children}
    </div>
  );
}

/**
 * The placeholder of rows outside the view. It has one cell, because spanning the columns would show hidden columns
 * again.
 */
function Room({ height }: { height: number }) {
  return <tr className="room" aria-hidden="true" style={{ height }}><td /></tr>;
}

/** Reports the visible rows: at once, then at most as often as a page can be loaded. */
function useLook(from: number, to: number, onLook: (from: number, to: number) => void): void {
  const latest = useRef({ from, to, onLook });
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    latest.current = { from, to, onLook };
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      latest.current.onLook(latest.current.from, latest.current.to);
    }, LOOK_MS);
  });
  useEffect(() => () => {
    clearTimeout(timer.current);
    timer.current = undefined;
  }, []);
}
