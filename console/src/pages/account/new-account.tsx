/** The button that creates another account, to which the session switches. */

import { switchAccount } from "../../api/session";
import { useText } from "../../text";
import { Action } from "../kit";
import type { Account } from "./api";

export function NewAccount({ primary = false }: { primary?: boolean }) {
  const t = useText();
  const enter = (answer: unknown) => void switchAccount((answer as { data: Account }).data.id).catch(() => undefined);
  return <Action id="AccountService_CreateAccount" label={t("New account")} primary={primary} onDone={enter} />;
}
