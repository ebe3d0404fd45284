/** The frame around every page: navigation, search, and the signed-in user. */

import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState, type ReactNode } from "react";

import { useContract } from "../api/contract";
import { useText } from "../text";
import { Problem, RequestLink } from "../ui/problem";
import { Toasts } from "../ui/toast";
import { Account } from "./account";
import { usePlaces } from "./places";
import { useOnline } from "./online";
import { AccountSwitch } from "./account-switch";
import { ImpersonationBanner } from "./impersonation-banner";
import { useMay } from "./user";

const Palette = lazy(() => import("./palette"));

export function Shell() {
  const t = useText();
  const [searching, setSearching] = useState(false);
  const [menu, setMenu] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    setMenu(false);
    // A screen reader continues at the new page's heading.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  useEffect(() => {
    const open = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.closest("input, textarea, select");
      if ((event.key === "k" && (event.metaKey || event.ctrlKey)) || (event.key === "/" && !typing)) {
        event.preventDefault();
        setSearching(true);
      }
    };
    addEventListener("keydown", open);
    return () => removeEventListener("keydown", open);
  }, []);
  return (
    <div className="shell">
      <ImpersonationBanner />
      <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{t("Skip to the content")}</a>
      <header className="bar">
        <button type="button" className="quiet icon menu-button" aria-expanded={menu} aria-controls="navigation" aria-label={t("Menu")} onClick={() => setMenu(!menu)}>☰</button>
        <Link to="/" className="brand"><img src="/console/mark.svg" alt="" width="24" height="24" />Mainstay</Link>
        <button type="button" className="search" onClick={() => setSearching(true)}><span>{t("Go to …")}</span><kbd>Ctrl K</kbd></button>
        <Account />
      </header>
      <Navigation open={menu} path={path} />
      <main id="main" ref={main} tabIndex={-1}>
        <Offline />
        <WithLogs><WithoutContract /><Outlet /></WithLogs>
      </main>
      {searching && <Suspense><Palette onClose={() => setSearching(false)} /></Suspense>}
      <Toasts />
    </div>
  );
}

function Navigation({ open, path }: { open: boolean; path: string }) {
  const t = useText();
  const groups = usePlaces();
  const { data: contract, error } = useContract();
  const nav = useRef<HTMLElement>(null);
  // The link of the page is in sight, even at the end of a long navigation.
  useEffect(() => {
    nav.current?.querySelector("[aria-current=page]")?.scrollIntoView({ block: "nearest" });
  }, [open, path, groups.length]);
  return (
    <nav ref={nav} id="navigation" className={open ? "navigation open" : "navigation"} aria-label={t("Navigation")} aria-busy={!contract && !error}>
      <AccountSwitch />
      {groups.map(({ title, places }) => (
        <div key={title}>
          {title && <p className="group-title">{title}</p>}
          <ul>
            {places.map((place) => (
              <li key={place.to}><Link to={place.to} activeOptions={{ exact: place.to === "/", includeSearch: false }} activeProps={{ "aria-current": "page" }}>{place.title}</Link></li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

/** Provides links from an error to its lines in the log. */
function WithLogs({ children }: { children: ReactNode }) {
  const t = useText();
  const may = useMay();
  const link = (requestId: string) => <Link to="/logs" search={{ requestId } as never}>{t("Log lines")}</Link>;
  return <RequestLink value={may("SystemLogService_ListSystemLogs") ? link : undefined}>{children}</RequestLink>;
}

/** The notice that parts of the page are missing while the contract can't be read. */
function WithoutContract() {
  const t = useText();
  const { data, error, refetch } = useContract();
  if (!error || data) return null;
  return <Problem error={error} onRetry={() => void refetch()}><p>{t("Until this can be read, some pages and actions are missing.")}</p></Problem>;
}

function Offline() {
  const t = useText();
  const online = useOnline();
  if (online) return null;
  return <p className="notice" role="status">{t("You are offline. What you see may be out of date; changes can't be saved.")}</p>;
}
