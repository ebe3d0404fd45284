/** The notice of a form while the outcome of an earlier submission is unknown. */

import type { IdempotencyKeys } from "../api/idempotency";
import { useText } from "../text";

type SentBeforeProps = {
  keys: IdempotencyKeys;
  /** The request that the form would send now. */
  request: unknown;
  /** Whether the same request can be repeated and takes effect once. */
  isRepeatable?: boolean;
};

export function SentBefore({ keys, request, isRepeatable = true }: SentBeforeProps) {
  const t = useText();
  if (keys.isOtherUnknown(request)) return <p className="notice" role="status">{t("What you sent before may have taken effect. This is sent as something new.")}</p>;
  if (!isRepeatable && keys.isUnknown(request)) return <p className="notice" role="status">{t("It may have taken effect. Sent again, it may do so twice: look before you send it.")}</p>;
  return null;
}
