/** What went wrong, what to do about it, and the request id by which the logs know it. */

import type { ReactNode } from "react";

import { asApiError, type ApiError } from "../api/errors";
import { useName, useText, type Text } from "../text";

const ADVICE: Record<number, [Text, Text]> = {
  0: ["The server does not answer", "Check your connection. Nothing was lost; what you entered is still here."],
  401: ["You are signed out", "Sign in again; then you are back on this page."],
  403: ["You may not do this", "Ask an administrator for the role that this needs."],
  404: ["There is nothing here", "It was deleted, or it belongs to somebody else."],
  409: ["It changed in the meantime", "Load it again, then decide."],
  412: ["Somebody else changed this first", "Load the latest version and apply your change to it."],
  422: ["This was not accepted", "Correct what is marked and try again."],
  429: ["Too many requests", "Wait a moment, then try again."],
  503: ["The server is busy", "It will be back shortly; try again."],
};

function advice(status: number): [Text, Text] {
  const known = ADVICE[status];
  if (known) return known;
  if (status === 400) return ["This was not accepted", "Correct what is marked and try again."];
  if (status >= 502) return ["The server is busy", "It will be back shortly; try again."];
  return ["Something went wrong", "Try again. If it stays, give the request id to whoever operates the server."];
}

export function Problem({ error, onRetry, children }: { error: unknown; onRetry?: () => void; children?: ReactNode }) {
  const t = useText();
  const problem = asApiError(error);
  const [title, cure] = advice(problem.status);
  return (
    <div className="problem" role="alert">
      <strong>{t(title)}</strong>
      <p>
        {problem.message} {t(cure)} {problem.retryAfter !== undefined && t("Retry in {seconds} s.", { seconds: problem.retryAfter })}
      </p>
      <FieldProblems error={problem} />
      {children}
      {onRetry && <button type="button" onClick={onRetry}>{t("Try again")}</button>}
      <RequestId error={problem} />
    </div>
  );
}

function FieldProblems({ error }: { error: ApiError }) {
  const name = useName();
  const fields = Object.entries(error.fields);
  if (fields.length === 0) return null;
  return <ul>{fields.map(([field, message]) => <li key={field}><b>{name(field)}</b> {message}</li>)}</ul>;
}

function RequestId({ error }: { error: ApiError }) {
  const t = useText();
  const { requestId } = error;
  if (requestId === undefined) return null;
  return (
    <p className="request-id">
      {error.code} · {t("Request")} <code>{requestId}</code>{" "}
      <button type="button" className="link" onClick={() => void navigator.clipboard.writeText(requestId)}>{t("Copy")}</button>
    </p>
  );
}
