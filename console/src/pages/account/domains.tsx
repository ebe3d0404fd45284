/** The mail domains of an account, whose people join it, with the TXT records that prove them. */

import { useState } from "react";

import { api, read } from "../../api/client";
import { useMay } from "../../shell/user";
import { useName, useText } from "../../text";
import { FormSheet } from "../../ui/form-sheet";
import { Badge, Time } from "../../ui/format";
import type { Column } from "../../ui/table";
import { Action } from "../kit";
import { RelatedList } from "../related-list";
import type { AccountDomain, DomainRole } from "./api";

const PAGE_SIZE = 50;
const ROLES = ["MEMBER_ROLE_MEMBER", "MEMBER_ROLE_VIEWER"] as const satisfies readonly DomainRole[];

export function Domains({ accountId }: { accountId: string }) {
  const t = useText();
  const name = useName();
  const may = useMay();
  const columns: Column<AccountDomain>[] = [
    {
      name: "domain",
      label: t("Mail domain"),
      cell: (one) => (
        <>
          <b className="text">{one.domain}</b>
          <small className="gist">{t("TXT record")}: <code className="breaks">{one.recordName}</code> <code className="breaks">{one.recordValue}</code></small>
        </>
      ),
    },
    { name: "role", label: t("Role"), wide: true, cell: (one) => <Badge value={one.role} /> },
    { name: "state", label: name("state"), cell: (one) => <Badge value={one.state} /> },
    { name: "verifyTime", label: t("Record found"), wide: true, cell: (one) => <Time value={one.verifyTime} /> },
    {
      name: "actions",
      label: t("Actions"),
      unlabelled: true,
      cell: (one) => (
        <span className="actions">
          <Action id="AccountDomainService_VerifyAccountDomain" label={t("Verify")} values={{ accountDomainId: one.id }} version={one.version} name={one.domain} />
          <Action id="AccountDomainService_DeleteAccountDomain" label={t("Delete")} values={{ accountDomainId: one.id }} version={one.version} name={one.domain} />
        </span>
      ),
    },
  ];
  const empty = may("AccountDomainService_CreateAccountDomain") ? t("No mail domain. “Add a domain” above lets people who register with its addresses join this account.") : t("No mail domain. An owner of this account adds one.");
  return (
    <RelatedList title={t("Mail domains")} name={["account-domains", accountId]} empty={empty} columns={columns}
      fetch={(pageToken, signal) => read(api.GET("/api/v1/account-domains", { params: { query: { accountId, pageSize: PAGE_SIZE, pageToken } }, signal }))} />
  );
}

/** The button that adds a mail domain. */
export function AddDomain({ accountId }: { accountId: string }) {
  const t = useText();
  const may = useMay();
  const [open, setOpen] = useState(false);
  if (!may("AccountDomainService_CreateAccountDomain")) return null;
  return (
    <>
      <button type="button" className="primary" onClick={() => setOpen(true)}>{t("Add a domain")}</button>
      {open && <DomainSheet accountId={accountId} onClose={() => setOpen(false)} />}
    </>
  );
}

function DomainSheet({ accountId, onClose }: { accountId: string; onClose: () => void }) {
  const t = useText();
  const name = useName();
  const [domain, setDomain] = useState("");
  const [role, setRole] = useState<DomainRole>("MEMBER_ROLE_MEMBER");
  const body = { accountId, domain: domain.trim(), role };
  const send = (key: string) => read(api.POST("/api/v1/account-domains", { params: { header: { "Idempotency-Key": key } }, body }));
  return (
    <FormSheet title={t("Add a mail domain")} action={t("Add")} request={body} onSubmit={send} onClose={onClose}>
      <label>
        <span>{t("Mail domain")}</span>
        <input type="text" required autoFocus autoComplete="off" autoCapitalize="none" spellCheck={false} placeholder="example.com" minLength={3} maxLength={253} value={domain} onChange={(event) => setDomain(event.target.value)} />
      </label>
      <label>
        <span>{t("Role")}</span>
        <select value={role} onChange={(event) => setRole(event.target.value as DomainRole)}>
          {ROLES.map((one) => <option key={one} value={one}>{name(one)}</option>)}
        </select>
      </label>
      <p className="help">{t("Create the TXT record that is shown next at your DNS provider, then verify the domain.")}</p>
    </FormSheet>
  );
}
