/** Short messages about recent actions, announced by screen readers, some with an undo. */

import { useSyncExternalStore } from "react";

import { useText } from "../text";

type Toast = { id: number; text: string; undo?: () => void };

let toasts: readonly Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();

function become(now: readonly Toast[]): void {
  toasts = now;
  for (const listener of listeners) listener();
}

function drop(id: number): void {
  become(toasts.filter((toast) => toast.id !== id));
}

/** The maximum number of visible messages: more would cover the content that they are about. */
const MAX = 2;

export function toast(text: string, undo?: () => void): void {
  const id = next++;
  become([...toasts.slice(1 - MAX), undo ? { id, text, undo } : { id, text }]);
  setTimeout(() => drop(id), undo ? 10_000 : 5000);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Toasts() {
  const t = useText();
  const all = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {all.map(({ id, text, undo }) => (
        <div className="toast" key={id}>
          <span title={text}>{text}</span>
          {undo && <button type="button" onClick={() => { undo(); drop(id); }}>{t("Undo")}</button>}
          <button type="button" className="quiet icon" aria-label={t("Close")} onClick={() => drop(id)}>✕</button>
        </div>
      ))}
    </div>
  );
}
