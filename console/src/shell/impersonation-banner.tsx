/** The banner that shows that staff acts in the name of a user, and ends it. */

import { impersonation } from "../api/impersonation";
import { endImpersonation } from "../api/session";
import { useText } from "../text";

export function ImpersonationBanner() {
  const t = useText();
  const current = impersonation();
  if (!current) return null;
  return (
    <div className="impersonation" role="alert">
      <span>{t("You act in the name of")} <b>{current.userName}</b></span>
      <button type="button" onClick={() => void endImpersonation()}>{t("End")}</button>
    </div>
  );
}
