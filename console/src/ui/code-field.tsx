/** The input of a code of the authenticator app or, instead, of a recovery code. */

import { useState } from "react";

import { useText } from "../text";

export function CodeField() {
  const t = useText();
  const [isRecovery, setIsRecovery] = useState(false);
  return (
    <>
      {isRecovery
        ? <label><span>{t("Recovery code")}</span><input key="recovery" name="code" autoComplete="off" autoCapitalize="off" spellCheck={false} required autoFocus /></label>
        : <label><span>{t("Code of the authenticator app")}</span><AppCode /></label>}
      <p><button type="button" className="link" onClick={() => setIsRecovery(!isRecovery)}>{isRecovery ? t("Use a code of the app") : t("Use a recovery code")}</button></p>
    </>
  );
}

export function AppCode({ autoFocus = false }: { autoFocus?: boolean }) {
  return <input key="app" name="code" autoComplete="one-time-code" inputMode="numeric" pattern="\s*(\p{Nd}[\s\p{Pd}]*){6}" maxLength={32} required autoFocus={autoFocus} />;
}
