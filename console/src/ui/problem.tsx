/** An error, its remedy, and the request id by which the log lists it. */

import { createContext, useContext, type ReactNode } from "react";

import { asApiError, type ApiError } from "../api/errors";
import { useName, useText, type Text } from "../text";
import { PageFrame } from "./page";
import { toast } from "./toast";

/** A link from a request id to the servers' log lines, for users who may see them. */
export const RequestLink = createContext<((id: string) => ReactNode) | undefined>(undefined);

type Advice = [title: Text, cure?: Text];

const ADVICE: Record<number, Advice> = {
  0: ["The server does not answer", "Check your connection. Nothing was lost; what you entered is still here."],
  401: ["You are signed out", "Sign in again; then you are back on this page."],
  403: ["You may not do this", "Ask an administrator for the role that this needs."],
  404: ["There is nothing here", "It was deleted, or you do not have access to it."],
  409: ["It changed in the meantime", "Load it again, then decide."],
  412: ["Somebody else changed this first", "Load the latest version and apply your change to it."],
  413: ["This is too large", "Choose a smaller one."],
  429: ["Too many requests", "Wait a moment, then try again."],
  503: ["The server is busy", "It will be back shortly; try again."],
};

function advice({ status, code, fields }: ApiError): Advice {
  if (code === "REAUTHENTICATION_REQUIRED") return ["You did not confirm that it is you", "Try again, and enter your password."];
  if (code === "IDEMPOTENCY_IN_PROGRESS") return ["It is still being carried out", "Send it again in a moment; it takes effect only once."];
  if (code.startsWith("UPSTREAM_")) return ["It failed at another server", "Try again in a moment. If the error persists, contact the operator of that server."];
  // Without a field, the message contains the remedy.
  if (status === 400 || status === 422) return Object.keys(fields).length > 0 ? ["This was not accepted", "Correct what is marked and try again."] : ["This was not accepted"];
  const known = ADVICE[status];
  if (known) return known;
  if (status >= 502) return ["The server is busy", "It will be back shortly; try again."];
  return ["Something went wrong", "Try again. If the error persists, give the request id to the operator of the server."];
}

export function Problem({ error, onRetry, children }: { error: unknown; onRetry?: () => void; children?: ReactNode }) {
  const t = useText();
  const problem = asApiError(error);
  const [title, cure] = advice(problem);
  return (
    <div className="problem" role="alert">
      <strong>{t(title)}</strong>
      <p>
        {problem.message} {cure && t(cure)} {problem.retryAfter !== undefined && t("Retry in {seconds} s.", { seconds: problem.retryAfter })}
      </p>
      <FieldProblems error={problem} />
      {children}
      {onRetry && <button type="button" onClick={onRetry}>{t("Try again")}</button>}
      <RequestId error={problem} />
    </div>
  );
}

/** The page of a resource that could not be read. */
export function ProblemPage({ error, above, onRetry }: { error: unknown; above: ReactNode; onRetry: () => void }) {
  const t = useText();
  const title = asApiError(error).status === 404 ? t("Not found") : t("Something went wrong");
  return <PageFrame title={title} above={above}><Problem error={error} onRetry={onRetry} /></PageFrame>;
}

function FieldProblems({ error }: { error: ApiError }) {
  const name = useName();
  const fields = Object.entries(error.fields);
  if (fields.length === 0) return null;
  return <ul>{fields.map(([field, message]) => <li key={field}><b>{name(field)}</b> {message}</li>)}</ul>;
}

function RequestId({ error }: { error: ApiError }) {
  const t = useText();
  const link = useContext(RequestLink);
  const { requestId } = error;
  if (requestId === undefined) return null;
  return (
    <p className="request-id">
      {error.code} · {t("Request")} <code>{requestId}</code>{" "}
      {link && <>{link(requestId)}{" "}</>}
      <button type="button" className="link" onClick={() => void navigator.clipboard.writeText(requestId).then(() => toast(t("Copied")))}>{t("Copy")}</button>
    </p>
  );
}
