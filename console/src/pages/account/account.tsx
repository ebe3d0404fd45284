/** The account of the session: its name, members, invitations, mail domains and roles. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";

import { api, read } from "../../api/client";
import { refresh, switchAccount } from "../../api/session";
import { useMay, useMe, useMembership, type Membership } from "../../shell/user";
import { useText, type Text } from "../../text";
import { Confirm } from "../../ui/dialog";
import { PageFrame, Skeleton } from "../../ui/page";
import { ProblemPage } from "../../ui/problem";
import { DataExports, Delete, ScheduledDeletion } from "../access/privacy";
import { Action, useSearchParams } from "../kit";
import type { Account } from "./api";
import { AddDomain, Domains } from "./domains";
import { Invitations, Invite } from "./invitations";
import { Members } from "./members";
import { Providers } from "./providers";
import { TransferOwnership } from "./transfer";
import { NoAccount } from "./no-account";
import { NewRole, Roles, useMayManage } from "./roles";

export function AccountPage() {
  const { accountId } = useMe();
  return accountId === undefined ? <NoAccount /> : <OwnAccount accountId={accountId} />;
}

export function useAccount(accountId: string) {
  const may = useMay();
  return useQuery({
    queryKey: ["account", accountId],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/accounts/{accountId}", { params: { path: { accountId } }, signal }))).data,
    enabled: may("AccountService_GetAccount"),
    staleTime: 60_000,
  });
}

function OwnAccount({ accountId }: { accountId: string }) {
  const t = useText();
  const membership = useMembership();
  const isOwner = membership?.role === "MEMBER_ROLE_OWNER";
  const { data: account, error, refetch } = useAccount(accountId);
  if (error && !account) return <ProblemPage error={error} above={null} onRetry={() => void refetch()} />;
  if (!account) return <PageFrame title="…"><Skeleton /></PageFrame>;
  return <AccountFrame account={account} above={t("Account")} end={isOwner && <><ScheduledDeletion subject={{ accountId }} time={account.deletionTime} /><DataExports accountId={accountId} /></>}>
    {membership && <><TransferOwnership membership={membership} /><Leave membership={membership} /></>}
    {isOwner && account.deletionTime === undefined && <Delete subject={{ accountId }} label={t("Delete the account")} />}
  </AccountFrame>;
}

const PARTS = ["members", "invitations", "domains", "roles"] as const;
const TITLES: Record<(typeof PARTS)[number], Text> = { members: "Members", invitations: "Invitations", domains: "Mail domains", roles: "Roles" };

/** The parts of an account's page. Staff see an overview before them. */
export function AccountFrame({ account, above, overview, end, children }: { account: Account; above: ReactNode; overview?: ReactNode; end?: ReactNode; children?: ReactNode }) {
  const t = useText();
  const may = useMay();
  const [search] = useSearchParams();
  const mayManage = useMayManage(account.id);
  const first = overview === undefined ? "members" : "overview";
  const shown = PARTS.find((one) => one === search["list"]) ?? first;
  const tabs: [string, string][] = [...(overview === undefined ? [] : [["overview", t("Overview")] as [string, string]]), ...PARTS.filter((one) => one !== "roles" || may("RoleService_ListRoles")).map((one): [string, string] => [one, t(TITLES[one])])];
  return (
    <PageFrame title={account.name} above={above} actions={<>
      <Action id="AccountService_UpdateAccount" label={t("Edit")} values={{ accountId: account.id }} version={account.version} initial={{ name: account.name, requireSecondFactor: account.requireSecondFactor, sessionIdleSeconds: account.sessionIdleSeconds, sessionMaxAgeSeconds: account.sessionMaxAgeSeconds }} />
      {children}
      {shown === "roles" && mayManage && <NewRole accountId={account.id} />}
      {shown === "domains" && <AddDomain accountId={account.id} />}
      {(shown === "members" || shown === "invitations") && <Invite accountId={account.id} />}
    </>}>
      <nav className="tabs" aria-label={t("Account")}>
        {tabs.map(([one, title]) => <Link key={one} to="." activeOptions={{ exact: true }} search={(one === first ? {} : { list: one }) as never} aria-current={one === shown ? "page" : undefined}>{title}</Link>)}
      </nav>
      {shown === "overview" && overview}
      {shown === "members" && <Members accountId={account.id} />}
      {shown === "invitations" && <Invitations accountId={account.id} />}
      {shown === "domains" && <><Domains accountId={account.id} /><Providers accountId={account.id} /></>}
      {shown === "roles" && <Roles accountId={account.id} />}
      {end}
    </PageFrame>
  );
}

function Leave({ membership }: { membership: Membership }) {
  const t = useText();
  const client = useQueryClient();
  const { memberships } = useMe();
  const [isConfirming, setIsConfirming] = useState(false);
  const confirm = async () => {
    await read(api.POST("/api/v1/members/{memberId}/leave", { params: { path: { memberId: membership.memberId } } }));
    client.clear();
    const next = memberships.find((one) => one.accountId !== membership.accountId);
    // The session of this account has ended. Without another account, the refresh shows the sign-in.
    await (next ? switchAccount(next.accountId) : refresh()).catch(() => undefined);
  };
  return (
    <>
      <button type="button" className="danger" onClick={() => setIsConfirming(true)}>{t("Leave")}</button>
      {isConfirming && (
        <Confirm title={t("Leave {account}", { account: membership.accountName })} action={t("Leave")} onConfirm={confirm} onClose={() => setIsConfirming(false)}>
          <p>{t("You lose access to this account at once. Its data stays. To return, you need another invitation.")}</p>
        </Confirm>
      )}
    </>
  );
}
