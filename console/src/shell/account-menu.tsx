/** The menu with the profile, the appearance settings and the sign-out. */

import { Link } from "@tanstack/react-router";
import { useState, type RefObject } from "react";
import { Dialog, Popover } from "react-aria-components";

import { signOut } from "../api/session";
import { useText } from "../text";
import { Badge } from "../ui/format";
import { Problem } from "../ui/problem";
import { Appearance } from "./appearance";
import { useUser } from "./user";

export default function AccountMenu({ trigger, onClose }: { trigger: RefObject<HTMLElement | null>; onClose: () => void }) {
  const t = useText();
  const user = useUser();
  const [error, setError] = useState<unknown>();
  return (
    <Popover className="popover" placement="bottom end" triggerRef={trigger} isOpen onOpenChange={(open) => !open && onClose()}>
      <Dialog className="account" aria-label={t("Account")}>
        <p><b>{user.name}</b> <Badge value={user.role} /><br /><small>{user.email}</small></p>
        <p><Link to="/profile" onClick={onClose}>{t("Profile")}</Link></p>
        <Appearance />
        <button type="button" onClick={() => void signOut().catch(setError)}>{t("Sign out")}</button>
        {error !== undefined && <Problem error={error} />}
      </Dialog>
    </Popover>
  );
}
