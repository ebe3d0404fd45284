/** The generic list of resources, derived from the contract, for services without a dedicated page. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";

import { call, type Query } from "../api/client";
import { useContract, type Contract, type Operation, type Schema, type Service } from "../api/contract";
import { NotFound } from "../shell/fallbacks";
import { useReach } from "../shell/user";
import { useName, useText } from "../text";
import { short } from "../ui/format";
import { PageFrame, Skeleton } from "../ui/page";
import { Pager, Table, type Column, type Page } from "../ui/table";
import { Value } from "../ui/value";
import { Filters } from "./filters";
import { filtersOf, pathOf, resourceOf, titleFieldOf, titleOf, type Resource } from "./model";
import { OperationButton } from "./operation-button";

type Row = Record<string, unknown>;
const MAX_COLUMNS = 7;
/** Fields that a list does not show. */
const HIDDEN_FIELDS = new Set(["id", "version", "body", "html", "payload", "updateTime", "accountId", "oauthClientId", "earlierSecretExpireTime"]);

export function ResourceListPage() {
  const { service: name } = useParams({ strict: false }) as { service: string };
  const { data: contract, error } = useContract();
  const reach = useReach();
  const service = contract?.services.find((one) => one.name === name);
  // The shell shows why the contract can't be read.
  if (!contract) return error ? null : <Skeleton />;
  if (!service) return <NotFound />;
  return <ResourceList key={name} contract={contract} service={service} resource={resourceOf(service, reach)} />;
}

type ListProps = { contract: Contract; service: Service; resource: Resource };

function ResourceList({ contract, service, resource }: ListProps) {
  const label = useName();
  const t = useText();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as Query;
  const reach = useReach();
  const list = resource.lists.find((one) => one.id === search["list"]) ?? resource.lists[0];
  const set = (next: Query) => void navigate({ to: ".", search: ((current: Query) => ({ ...current, ...next })) as never });
  if (!list) return <PageFrame title={label(service.title)}><p>{t("This service has no lists.")}</p></PageFrame>;
  const actions = [resource.create, ...resource.actions].filter((one) => one !== undefined);
  return (
    <PageFrame title={label(service.title)} actions={actions.map((one, index) => (
      <OperationButton key={one.id} contract={contract} operation={one} values={search} primary={index === 0} />
    ))}>
      <p className="lead">{service.description.replaceAll("`", "")}</p>
      {resource.lists.length > 1 && (
        <nav className="tabs" aria-label={t("Lists")}>
          {resource.lists.map((one) => (
            <Link key={one.id} to="." search={{ list: one.id } as never} aria-current={one === list ? "page" : undefined}>{label(one.label)}</Link>
          ))}
        </nav>
      )}
      <Filters contract={contract} list={reach(list) === "any" ? list : { ...list, query: list.query.filter(({ name }) => name !== "accountId") }} search={search} onChange={(next) => set({ ...next, page: undefined })} />
      <Rows contract={contract} service={service} list={list} resource={resource} search={search} onPage={(page) => set({ page: String(page) })} />
    </PageFrame>
  );
}

type RowsProps = ListProps & { list: Operation; search: Query; onPage: (page: number) => void };

function Rows({ contract, service, list, resource, search, onPage }: RowsProps) {
  const label = useName();
  const t = useText();
  const path = pathOf(list, search as Record<string, string>);
  const filters = Object.fromEntries(filtersOf(list).map(({ name }) => [name, search[name]]));
  const query = useQuery({
    queryKey: ["resource", list.id, path, filters, search["page"]],
    queryFn: async ({ signal }) => (await call({ method: "get", path: path ?? "", query: { ...filters, page: search["page"] } }, signal)) as Page<Row>,
    enabled: path !== undefined,
    placeholderData: keepPreviousData,
  });
  if (path === undefined) return <p className="empty">{t("Fill in the fields above to see the list.")}</p>;
  const titleField = titleFieldOf(list.data?.properties ?? {});
  const first: Column<Row> = {
    name: "title",
    label: label(titleField ?? "id"),
    cell: (row) => {
      const id = row["id"];
      const title = titleOf(row) === id ? <code title={id}>{short(id)}</code> : titleOf(row);
      if (typeof id !== "string" || !resource.item) return title;
      return <Link className="row-link" to="/s/$service/$id" params={{ service: service.name, id }}>{title}</Link>;
    },
  };
  const { removal } = resource;
  const last: Column<Row>[] = !removal ? [] : [{
    name: "removal",
    label: label(removal.label),
    unlabelled: true,
    cell: (row) => <OperationButton contract={contract} operation={removal} values={row as Query} name={titleOf(row)} />,
  }];
  return (
    <>
      <Table label={label(service.title)} columns={[first, ...columnsOf(contract, list.data, titleField, label, resource.item !== undefined), ...last]} query={query} rowKey={(row) => String(row["id"] ?? JSON.stringify(row))}
        empty={resource.create ? t("Nothing here yet. Create one with “{action}” above.", { action: label(resource.create.label) }) : service.name === "OauthConsentService" ? t("No application. Each one that you allow to act for you appears here.") : t("Nothing here yet. What programs create through the API appears here.")} />
      <Pager meta={query.data?.meta} onPage={onPage} />
    </>
  );
}

function columnsOf(contract: Contract, schema: Schema | undefined, titleField: string | undefined, label: (name: string) => string, hasPage: boolean): Column<Row>[] {
  // Without a page, nothing else shows a list of texts.
  const isTexts = (schema: Schema) => contract.resolve(schema.items ?? {}).type === "string";
  const shown = Object.entries(schema?.properties ?? {}).filter(([name, raw]) => {
    const inner = contract.resolve(raw);
    return !HIDDEN_FIELDS.has(name) && name !== titleField && (inner.type !== "array" || (!hasPage && isTexts(inner))) && (inner.type !== "object" || "currencyCode" in (inner.properties ?? {}));
  });
  return shown.slice(0, MAX_COLUMNS).map(([name], index) => ({
    name,
    label: label(name),
    cell: (row) => <Value value={row[name]} field={name} />,
    wide: index > 0,
  }));
}
