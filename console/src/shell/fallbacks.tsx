/** The content in place of a page that does not exist or has failed. */

import { Link, type ErrorComponentProps } from "@tanstack/react-router";

import { useText } from "../text";
import { PageFrame } from "../ui/page";
import { Problem } from "../ui/problem";

export function NotFound() {
  const t = useText();
  return (
    <PageFrame title={t("Page not found")}>
      <p><Link to="/">{t("Home")}</Link></p>
    </PageFrame>
  );
}

export function Crash({ error, reset }: ErrorComponentProps) {
  const t = useText();
  // After an update of the server, the files of the old version no longer exist.
  const retry = () => (String(error).includes("dynamically imported module") ? location.reload() : reset());
  return <PageFrame title={t("Something went wrong")}><Problem error={error} onRetry={retry} /></PageFrame>;
}
