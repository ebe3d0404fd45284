/** The signed-in user: name, language, password, address, the export of all data, and the deletion. */

import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { useMe } from "../../shell/user";
import { useName, useText } from "../../text";
import { Card, PageFrame } from "../../ui/page";
import { Fields } from "../../ui/value";
import { Action } from "../kit";
import { DataExports, Delete, ScheduledDeletion } from "./privacy";

export function ProfilePage() {
  const t = useText();
  const label = useName();
  const { user, memberships } = useMe();
  const [isSent, setIsSent] = useState(false);
  const { name, email, language, role, createTime } = user;
  return (
    <PageFrame title={t("Profile")} actions={<>
      <Action id="UserService_UpdateUser" label={t("Edit")} values={{ userId: user.id }} version={user.version} initial={{ name, language }} />
      <Action id="AuthService_ChangePassword" label={t("Change password")} />
      <Action id="AuthService_RequestEmailChange" label={t("Change address")} onDone={() => setIsSent(true)} />
      {user.deletionTime === undefined && <Delete subject={{ userId: user.id }} label={t("Delete my account")} isSelf />}
    </>}>
      <ScheduledDeletion subject={{ userId: user.id }} time={user.deletionTime} />
      {isSent && <p className="notice" role="status">{t("Open the link in the mail to the new address. Until then, the previous address stays in use.")}</p>}
      <Card title={t("Details")} actions={<Link to="/security">{t("Sign-in and security")}</Link>}><Fields value={{ name, email, language, role, createTime }} /></Card>
      {memberships.length > 0 && (
        <Card title={t("Accounts")} actions={<Link to="/account">{t("Account")}</Link>}>
          <ul className="items">{memberships.map((one) => <li key={one.accountId}>{one.accountName} <small>{label(one.role)}</small></li>)}</ul>
        </Card>
      )}
      <DataExports />
    </PageFrame>
  );
}
