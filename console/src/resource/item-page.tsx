/** The generic page of one resource, for services without a dedicated page. */

import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";

import { call } from "../api/client";
import { useContract, type Contract, type Service } from "../api/contract";
import { History } from "../pages/access/audit";
import { NotFound } from "../shell/fallbacks";
import { useReach } from "../shell/user";
import { useName, useText } from "../text";
import { Card, PageFrame, Skeleton } from "../ui/page";
import { ProblemPage } from "../ui/problem";
import { Fields } from "../ui/value";
import { resourceOf, pathOf, titleOf, versionOf, type Item } from "./model";
import { OperationButton } from "./operation-button";
import type { Values } from "./fields";

export function ResourceItemPage() {
  const { service: name, id } = useParams({ strict: false }) as { service: string; id: string };
  const { data: contract, error } = useContract();
  const reach = useReach();
  const service = contract?.services.find((one) => one.name === name);
  const item = service && resourceOf(service, reach).item;
  // The shell shows why the contract can't be read.
  if (!contract) return error ? null : <Skeleton />;
  if (!service || !item) return <NotFound />;
  return <ResourceItem key={id} contract={contract} service={service} item={item} id={id} />;
}

function ResourceItem({ contract, service, item, id }: { contract: Contract; service: Service; item: Item; id: string }) {
  const t = useText();
  const label = useName();
  const navigate = useNavigate();
  const variables = { [item.variable]: id };
  const { data, error, refetch } = useQuery({
    queryKey: ["resource", item.get.id, id],
    queryFn: async ({ signal }) => ((await call({ method: "get", path: pathOf(item.get, variables) ?? "" }, signal)) as { data: Values }).data,
  });
  const above = <Link to="/s/$service" params={{ service: service.name }}>{label(service.title)}</Link>;
  if (error && !data) return <ProblemPage error={error} above={above} onRetry={() => void refetch()} />;
  if (!data) return <Skeleton />;
  const version = versionOf(data);
  const name = titleOf(data);
  const shared = { contract, values: variables, version, name };
  return (
    <PageFrame title={name} above={above} actions={<>
      {item.update && <OperationButton {...shared} operation={item.update} label={t("Edit")} initial={editable(item, data)} />}
      {item.actions.map((one) => <OperationButton key={one.id} {...shared} operation={one} />)}
      {item.remove && <OperationButton {...shared} operation={item.remove} onDone={() => void navigate({ to: "/s/$service", params: { service: service.name } })} />}
    </>}>
      <Card title={t("Details")}><Fields value={data} /></Card>
      <History resourceId={id} />
    </PageFrame>
  );
}

function editable(item: Item, data: Values): Values {
  const names = Object.keys(item.update?.body?.properties ?? {});
  return Object.fromEntries(names.filter((name) => data[name] !== undefined).map((name) => [name, data[name]]));
}
