/** The menu with the user's accounts: switches to another one, or creates one. */

import { useState, type RefObject } from "react";
import { Dialog, Popover } from "react-aria-components";

import { switchAccount } from "../api/session";
import { useName, useText } from "../text";
import { Problem } from "../ui/problem";
import { toast } from "../ui/toast";
import { useMe, type Membership } from "./user";

export default function AccountChoice({ trigger, onNew, onClose }: { trigger: RefObject<HTMLElement | null>; onNew: () => void; onClose: () => void }) {
  const t = useText();
  const name = useName();
  const { accountId, memberships } = useMe();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const choose = async ({ accountId, accountName }: Membership) => {
    setBusy(true);
    setError(undefined);
    try {
      await switchAccount(accountId);
      toast(t("Now in {account}", { account: accountName }));
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <Popover className="popover" placement="bottom start" triggerRef={trigger} isOpen onOpenChange={(open) => !open && onClose()}>
      <Dialog className="account" aria-label={t("Accounts")}>
        {memberships.length > 0 && (
          <ul className="accounts">
            {memberships.map((one) => (
              <li key={one.accountId}>
                <button type="button" className="quiet" disabled={busy} aria-current={one.accountId === accountId || undefined} onClick={() => (one.accountId === accountId ? onClose() : void choose(one))}>
                  <span className="account-name">{one.accountName}</span><small>{name(one.role)}</small>
                </button>
              </li>
            ))}
          </ul>
        )}
        {error !== undefined && <Problem error={error} />}
        <button type="button" onClick={onNew}>{t("New account")}</button>
      </Dialog>
    </Popover>
  );
}
