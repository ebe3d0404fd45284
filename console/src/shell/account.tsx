/** Who is signed in, how the console looks, and the way out. */

import { useState } from "react";
import { Button, Dialog, DialogTrigger, Popover } from "react-aria-components";

import { signOut } from "../api/session";
import { useText } from "../text";
import { Badge } from "../ui/format";
import { Problem } from "../ui/problem";
import { Appearance } from "./appearance";
import { useUser } from "./user";

export function Account() {
  const t = useText();
  const user = useUser();
  const [error, setError] = useState<unknown>();
  const initials = (user.name ?? "?").split(/\s+/).map((word) => word.charAt(0)).slice(0, 2).join("");
  return (
    <DialogTrigger>
      <Button className="avatar" aria-label={t("Account of {name}", { name: user.name ?? "" })}>{initials}</Button>
      <Popover className="popover" placement="bottom end">
        <Dialog className="account" aria-label={t("Account")}>
          <p><b>{user.name}</b> <Badge value={user.role} /><br /><small>{user.email}</small></p>
          <Appearance />
          <button type="button" onClick={() => void signOut().catch(setError)}>{t("Sign out")}</button>
          {error !== undefined && <Problem error={error} />}
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}
