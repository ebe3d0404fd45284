/** The missing parts of a degraded response (206). */

import type { Schemas } from "../api/client";
import { useText } from "../text";

export function Degraded({ parts }: { parts: readonly Schemas["Degradation"][] | undefined }) {
  const t = useText();
  if (!parts || parts.length === 0) return null;
  return (
    <div className="notice" role="status">
      <b>{t("This is not everything.")}</b>
      {parts.map(({ part, message }) => <p key={part}>{message} <code>{part}</code></p>)}
    </div>
  );
}
