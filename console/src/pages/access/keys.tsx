/** Service keys and personal access tokens, whose secret is shown once. */

import type { Schemas } from "../../api/client";
import { api, read } from "../../api/client";
import { useUser } from "../../shell/user";
import { useName, useText } from "../../text";
import { Time } from "../../ui/format";
import type { Column } from "../../ui/table";
import { Value } from "../../ui/value";
import { Action, ListPage, pageOf } from "../kit";

type ServiceKey = Schemas["ServiceKey"];

export function ServiceKeysPage() {
  const t = useText();
  const name = useName();
  const columns: Column<ServiceKey>[] = [
    { name: "name", label: name("name"), cell: (key) => <b>{key.name}</b> },
    { name: "scopes", label: name("scopes"), wide: true, cell: (key) => <Value value={key.scopes} field="scopes" /> },
    { name: "kind", label: name("kind"), cell: (key) => <Value value={key.kind} field="kind" /> },
    { name: "lastUseTime", label: t("Last used"), wide: true, cell: (key) => (key.lastUseTime ? <Time value={key.lastUseTime} /> : t("never")) },
    { name: "expireTime", label: name("expireTime"), wide: true, cell: (key) => (key.expireTime ? <Time value={key.expireTime} /> : t("never")) },
    { name: "state", label: name("state"), cell: (key) => <State serviceKey={key} /> },
    { name: "actions", label: t("Actions"), unlabelled: true, cell: (key) => !key.revokeTime && <Actions serviceKey={key} /> },
  ];
  return (
    <ListPage name="service-keys" title={t("Service keys")} empty={t("No keys yet. A key lets a program call the API; the button above creates the first one.")} columns={columns}
      actions={<Action id="ServiceKeyService_CreateServiceKey" primary />}
      fetch={(search, signal) => read(api.GET("/api/v1/service-keys", { params: { query: { page: pageOf(search), pageSize: 50 } }, signal }))} />
  );
}

function Actions({ serviceKey: { id, name, userId } }: { serviceKey: ServiceKey }) {
  const t = useText();
  const me = useUser();
  const shared = { values: { serviceKeyId: id }, name };
  return (
    <span className="actions">
      {(!userId || userId === me.id) && <Action {...shared} id="ServiceKeyService_RotateServiceKey" label={t("Rotate secret")} />}
      <Action {...shared} id="ServiceKeyService_RevokeServiceKey" label={t("Revoke")} />
    </span>
  );
}

function State({ serviceKey }: { serviceKey: ServiceKey }) {
  const t = useText();
  if (serviceKey.revokeTime) return <span className="badge bad">{t("Revoked")}</span>;
  if (serviceKey.expireTime && Date.parse(serviceKey.expireTime) < Date.now()) return <span className="badge warn">{t("Expired")}</span>;
  return <span className="badge good">{t("Valid")}</span>;
}
