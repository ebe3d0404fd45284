/** The page of a session that needs a second factor before anything else. */

import { signOut, refresh } from "../api/session";
import { hasPasskeys } from "../api/passkey";
import { Enroll } from "../pages/access/enroll";
import { AddPasskey } from "../pages/access/passkeys";
import { useText } from "../text";
import { Problem } from "../ui/problem";
import { Authenticate, useSecondFactor } from "./step-up";

export default function Limited() {
  const t = useText();
  const { data: factor, error, refetch } = useSecondFactor();
  return (
    <main className="limited">
      <h1>{t("Add a second factor")}</h1>
      {error && !factor && <Problem error={error} onRetry={() => void refetch()} />}
      {factor && (factor.createTime === undefined
        ? <><p>{t("Your account or your role requires one. Then you can go on.")}</p><Enroll onDone={() => void refresh()} />{hasPasskeys && <><h2>{t("Add a passkey")}</h2><AddPasskey onDone={() => void refresh()} /></>}</>
        : <Authenticate onDone={() => undefined} />)}
      <p><button type="button" onClick={() => void signOut()}>{t("Sign out")}</button></p>
    </main>
  );
}
