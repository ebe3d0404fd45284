/** The button that shows the signed-in user. Its menu's code is loaded on first use. */

import { lazy, Suspense, useRef, useState } from "react";

import { useText } from "../text";
import { useUser } from "./user";

const AccountMenu = lazy(() => import("./account-menu"));

export function Account() {
  const t = useText();
  const user = useUser();
  const button = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);
  const initials = (user.name ?? "?").split(/\s+/).map((word) => word.charAt(0)).slice(0, 2).join("");
  return (
    <>
      <button ref={button} type="button" className="avatar" aria-haspopup="dialog" aria-expanded={open} aria-label={`${initials}: ${t("Account of {name}", { name: user.name ?? "" })}`} onClick={() => setOpen(true)}>{initials}</button>
      {open && <Suspense><AccountMenu trigger={button} onClose={() => setOpen(false)} /></Suspense>}
    </>
  );
}
