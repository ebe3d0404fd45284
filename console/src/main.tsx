/** The console: the shell with its pages. Without a session, the page of the sign-in follows. */

import { lazy, StrictMode, Suspense, useEffect, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";

import { resume, sessionGeneration, sessionState, signInPage, subscribe } from "./api/session";
import { keepFocus } from "./shell/focus";
import { LanguageContext, ready, useLanguage } from "./text";
import { Problem } from "./ui/problem";
import "./style/index.css";

const SignedIn = lazy(() => import("./shell/signed-in"));

function Console() {
  const language = useLanguage();
  const session = useSyncExternalStore(subscribe, sessionState);
  const generation = useSyncExternalStore(subscribe, sessionGeneration);
  return (
    <LanguageContext value={language}>
      {session === "out" && <Leaving />}
      {(session === "in" || session === "limited") && <Suspense fallback={<Starting />}><SignedIn key={`${session}${generation}`} isLimited={session === "limited"} /></Suspense>}
      {session === "unknown" && <Starting />}
    </LanguageContext>
  );
}

function Starting() {
  const [error, setError] = useState<unknown>();
  const start = () => {
    setError(undefined);
    resume().catch(setError);
  };
  useEffect(() => {
    if (sessionState() === "unknown") start();
  }, []);
  if (error !== undefined) return <main className="starting"><Problem error={error} onRetry={start} /></main>;
  return <main className="starting" aria-busy="true" />;
}

function Leaving() {
  useEffect(() => location.replace(signInPage()), []);
  return <main className="starting" aria-busy="true" />;
}

const root = document.getElementById("console");
if (root) {
  keepFocus(root);
  void ready.then(() => createRoot(root).render(<StrictMode><Console /></StrictMode>));
}
