/** The application of a signed-in user: the client's cache, the router, and the pages in the shell. */

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { lazy, Suspense, useContext, useEffect, useState, useSyncExternalStore } from "react";
import { I18nProvider } from "react-aria-components";

import { asApiError } from "../api/errors";
import { onRenewal } from "../api/session";
import { pendingStepUp, subscribeStepUp } from "../api/step-up";
import { LanguageContext } from "../text";
import { KeptContext } from "../ui/kept";
import { Problem } from "../ui/problem";
import { createConsoleRouter } from "./router";
import { MeContext, useMeQuery } from "./user";

const Limited = lazy(() => import("./limited"));
const StepUpDialog = lazy(() => import("./step-up"));

const MAX_RETRIES = 2;
const MAX_WAIT_S = 10;

function createClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 10_000,
        // A read is safe to repeat; permanent errors are not retried.
        retry: (count, error) => count < MAX_RETRIES && asApiError(error).retryable,
        retryDelay: (count, error) => Math.min(asApiError(error).retryAfter ?? 2 ** count, MAX_WAIT_S) * 1000,
      },
    },
  });
}

export default function SignedIn({ isLimited }: { isLimited: boolean }) {
  const [client] = useState(createClient);
  const [kept] = useState(() => new Map<string, unknown>());
  const language = useContext(LanguageContext);
  const pending = useSyncExternalStore(subscribeStepUp, pendingStepUp);
  return (
    <QueryClientProvider client={client}>
      <I18nProvider locale={language === "de" ? "de-DE" : "en-US"}>
        <KeptContext value={kept}>{isLimited ? <Suspense><Limited /></Suspense> : <WithUser />}</KeptContext>
        {pending && <Suspense><StepUpDialog pending={pending} /></Suspense>}
      </I18nProvider>
    </QueryClientProvider>
  );
}

function WithUser() {
  const { data: me, error, refetch } = useMeQuery();
  const [router] = useState(createConsoleRouter);
  // A new token may carry other scopes.
  useEffect(() => onRenewal(() => void refetch()), [refetch]);
  if (error && !me) return <main className="starting"><Problem error={error} onRetry={() => void refetch()} /></main>;
  if (!me) return <main className="starting" aria-busy="true" />;
  return <MeContext value={me}><RouterProvider router={router} /></MeContext>;
}
