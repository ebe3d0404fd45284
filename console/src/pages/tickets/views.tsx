/** Views of the tickets: named filters. Personal views are stored in this browser. */

import { Link } from "@tanstack/react-router";
import { useState, useSyncExternalStore, type FormEvent } from "react";

import { useIsStaff, useUser } from "../../shell/user";
import { useText } from "../../text";
import { Sheet } from "../../ui/dialog";
import type { TicketSearch } from "./filters";

type View = { name: string; search: TicketSearch };

const KEY = "mainstay-ticket-views";
const MAX = 20;
const MAX_NAME = 40;
const listeners = new Set<() => void>();
let known: { text: string; views: View[] } = { text: "", views: [] };

/** Reads the views in the storage, which other tabs write too; invalid entries are ignored. */
function kept(): View[] {
  const text = localStorage.getItem(KEY) ?? "[]";
  if (text !== known.text) known = { text, views: parse(text) };
  return known.views;
}

function parse(text: string): View[] {
  try {
    const found: unknown = JSON.parse(text);
    return Array.isArray(found) ? found.filter(isView).slice(0, MAX) : [];
  } catch {
    return [];
  }
}

function isView(value: unknown): value is View {
  const view = value as Partial<View> | null;
  return typeof view === "object" && typeof view?.name === "string" && typeof view.search === "object" && view.search !== null;
}

function keep(views: View[]): void {
  localStorage.setItem(KEY, JSON.stringify(views));
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener("storage", listener);
  return () => {
    listeners.delete(listener);
    removeEventListener("storage", listener);
  };
}

/** Returns the filters in a canonical order, so that equal filters are equal texts. */
function filters(search: TicketSearch): string {
  return JSON.stringify(Object.entries(search).filter(([, value]) => value).sort(([one], [other]) => (one < other ? -1 : 1)));
}

export function TicketViews({ search }: { search: TicketSearch }) {
  const t = useText();
  const user = useUser();
  const own = useSyncExternalStore(subscribe, kept);
  const [saving, setSaving] = useState(false);
  const isStaff = useIsStaff();
  const common: View[] = [
    { name: t("All"), search: {} },
    { name: t("Not resolved"), search: { status: "unresolved" } },
    ...(isStaff ? [{ name: t("Mine"), search: { status: "unresolved", assignee: user.id } }] : []),
  ];
  const current = filters(search);
  const shown = [...common, ...own].find((view) => filters(view.search) === current);
  const mine = own.find((view) => view === shown);
  return (
    <div className="views">
      <nav className="segments" aria-label={t("Views")}>
        {[...common, ...own].map((view, index) => (
          <Link key={`${index} ${view.name}`} to="." replace activeOptions={{ exact: true }} search={view.search as never} aria-current={view === shown ? "true" : undefined}>{view.name}</Link>
        ))}
      </nav>
      {!shown && own.length < MAX && <button type="button" className="quiet" onClick={() => setSaving(true)}>{t("Save view")}</button>}
      {mine && <button type="button" className="quiet" onClick={() => keep(own.filter((view) => view !== mine))}>{t("Remove view")}</button>}
      {saving && <SaveSheet own={own} search={search} onClose={() => setSaving(false)} />}
    </div>
  );
}

function SaveSheet({ own, search, onClose }: { own: View[]; search: TicketSearch; onClose: () => void }) {
  const t = useText();
  const [name, setName] = useState("");
  const save = (event: FormEvent) => {
    event.preventDefault();
    keep([...own.filter((view) => view.name !== name.trim()), { name: name.trim(), search }]);
    onClose();
  };
  return (
    <Sheet title={t("Save view")} onClose={onClose}>
      <form className="form" onSubmit={save}>
        <label>
          <span>{t("Name")}</span>
          <input autoFocus required maxLength={MAX_NAME} autoComplete="off" value={name} onChange={(event) => setName(event.target.value)} />
        </label>
        <p className="help">{t("The filters are kept under this name, in this browser.")}</p>
        <footer>
          <button type="button" onClick={onClose}>{t("Cancel")}</button>
          <button type="submit" className="primary" disabled={name.trim() === ""}>{t("Save view")}</button>
        </footer>
      </form>
    </Sheet>
  );
}
