/** The account of the session, at the top of the navigation. The menu's code is loaded on first use. */

import { lazy, Suspense, useRef, useState } from "react";

import { useText } from "../text";
import { useIsStaff, useMe, useMembership } from "./user";

const AccountChoice = lazy(() => import("./account-choice"));
const NewAccountSheet = lazy(() => import("../pages/account/new-account"));

export function AccountSwitch() {
  const t = useText();
  const isStaff = useIsStaff();
  const { memberships } = useMe();
  const current = useMembership();
  const button = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState<"choice" | "new">();
  // Staff work for all accounts, and need no membership.
  if (isStaff && memberships.length === 0) return null;
  return (
    <>
      <button ref={button} type="button" className="account-switch" aria-haspopup="dialog" aria-expanded={open === "choice"} onClick={() => setOpen("choice")}>
        <span className="hidden">{t("Account")}: </span><span className="account-name">{current?.accountName ?? t("No account")}</span><span aria-hidden="true">▾</span>
      </button>
      <Suspense>
        {open === "choice" && <AccountChoice trigger={button} onNew={() => setOpen("new")} onClose={() => setOpen(undefined)} />}
        {open === "new" && <NewAccountSheet onClose={() => setOpen(undefined)} />}
      </Suspense>
    </>
  );
}
