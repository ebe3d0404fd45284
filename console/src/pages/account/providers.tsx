/** The provider of an account, with which people of its mail domains sign in. */

import { api, read } from "../../api/client";
import { useMay } from "../../shell/user";
import { useText } from "../../text";
import { Badge } from "../../ui/format";
import type { Column } from "../../ui/table";
import { Action } from "../kit";
import { RelatedList } from "../related-list";
import type { AccountProvider } from "./api";

export function Providers({ accountId }: { accountId: string }) {
  const t = useText();
  const may = useMay();
  if (!may("AccountProviderService_ListAccountProviders")) return null;
  const columns: Column<AccountProvider>[] = [
    {
      name: "displayName",
      label: t("Company sign-in"),
      cell: (one) => (
        <>
          <b className="text">{one.displayName}</b>
          <small className="gist">{t("Issuer")}: <code className="breaks">{one.issuer}</code></small>
          <small className="gist">{t("Redirect URI")}: <code className="breaks">{one.redirectUri}</code></small>
        </>
      ),
    },
    { name: "defaultRole", label: t("Role"), wide: true, cell: (one) => <Badge value={one.defaultRole} /> },
    { name: "enforced", label: t("Required"), wide: true, cell: (one) => (one.enforced ? t("Required") : t("Optional")) },
    {
      name: "actions",
      label: t("Actions"),
      unlabelled: true,
      cell: (one) => (
        <span className="actions">
          <Action id="AccountProviderService_UpdateAccountProvider" label={t("Edit")} values={{ accountProviderId: one.id }} version={one.version} name={one.displayName} initial={{ displayName: one.displayName, enforced: one.enforced, groupsClaim: one.groupsClaim, groups: one.groups, defaultRole: one.defaultRole }} />
          <Action id="AccountProviderService_DeleteAccountProvider" label={t("Delete")} values={{ accountProviderId: one.id }} version={one.version} name={one.displayName} />
        </span>
      ),
    },
  ];
  return (
    <RelatedList title={t("Company sign-in")} name={["account-providers", accountId]} columns={columns}
      empty={t("No provider. “Add a provider” lets people of the mail domains sign in with your company’s OpenID Connect provider.")}
      begin={<Action id="AccountProviderService_CreateAccountProvider" label={t("Add a provider")} values={{ accountId }} />}
      fetch={(pageToken, signal) => read(api.GET("/api/v1/account-providers", { params: { query: { accountId, pageToken } }, signal }))} />
  );
}
