/** The sessions of the signed-in user and, for admins, of another user. */

import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";

import { api, read, type Schemas } from "../../api/client";
import { signOut } from "../../api/session";
import { useName, useText } from "../../text";
import { Confirm } from "../../ui/dialog";
import { Age, Time } from "../../ui/format";
import { Card, PageFrame } from "../../ui/page";
import { Table, type Column } from "../../ui/table";
import { Action } from "../kit";

type Session = Schemas["Session"];

export function SessionsPage() {
  const t = useText();
  const [isConfirming, setIsConfirming] = useState(false);
  const query = useQuery({ queryKey: ["sessions"], queryFn: ({ signal }) => read(api.GET("/api/v1/sessions", { signal })) });
  const columns = useColumns((session) => <Action id="SessionService_RevokeSession" label={t("End")} values={{ sessionId: session.id }} name={browserOf(session.userAgent)} />);
  const endAll = async () => {
    await api.DELETE("/api/v1/sessions");
    await signOut();
  };
  return (
    <PageFrame title={t("Sessions")} actions={<button type="button" className="danger" onClick={() => setIsConfirming(true)}>{t("Sign out everywhere")}</button>}>
      <Table label={t("Sessions")} columns={columns} query={query} rowKey={(session) => session.id} empty={t("No session. Each sign-in appears here.")} />
      {isConfirming && <Confirm title={t("Sign out everywhere")} action={t("Sign out everywhere")} onClose={() => setIsConfirming(false)} onConfirm={endAll}><p>{t("Every session ends, this one included.")}</p></Confirm>}
    </PageFrame>
  );
}

/** The sessions of a user, for admins. */
export function SessionsOf({ userId, name }: { userId: string; name: string }) {
  const t = useText();
  const query = useQuery({
    queryKey: ["sessions", userId],
    queryFn: ({ signal }) => read(api.GET("/api/v1/users/{userId}/sessions", { params: { path: { userId } }, signal })),
  });
  const columns = useColumns((session) => <Action id="SessionService_RevokeUserSession" label={t("End")} values={{ userId, sessionId: session.id }} name={browserOf(session.userAgent)} />);
  return (
    <Card title={t("Sessions")} actions={<Action id="SessionService_RevokeAllUserSessions" label={t("End all sessions")} values={{ userId }} name={name} />}>
      <Table label={t("Sessions")} columns={columns} query={query} rowKey={(session) => session.id} empty={t("No session. Each sign-in appears here.")} />
    </Card>
  );
}

function useColumns(end: (session: Session) => ReactNode): Column<Session>[] {
  const t = useText();
  const name = useName();
  return [
    { name: "userAgent", label: name("userAgent"), cell: (session) => <>{browserOf(session.userAgent)} {session.oauthClientId !== undefined && <span className="badge plain">{name("oauthClient")}</span>} {session.current && <span className="badge good">{t("this one")}</span>}</> },
    { name: "ipAddress", label: name("ipAddress"), wide: true, cell: (session) => session.ipAddress },
    { name: "refreshTime", label: t("Last used"), cell: (session) => <Age value={session.refreshTime} /> },
    { name: "expireTime", label: name("expireTime"), wide: true, cell: (session) => <Time value={session.expireTime} /> },
    { name: "end", label: t("Actions"), unlabelled: true, cell: (session) => !session.current && end(session) },
  ];
}

/** Returns the browser and operating system, such as `Chrome, Linux`, as claimed by the user agent. */
function browserOf(agent: string): string {
  const browser = ["Edg", "Firefox", "Chrome", "Safari", "curl"].find((name) => agent.includes(name)) ?? agent.slice(0, 40);
  const system = ["Android", "iPhone", "Windows", "Mac OS", "Linux"].find((name) => agent.includes(name));
  return system ? `${browser === "Edg" ? "Edge" : browser}, ${system}` : browser || "–";
}
