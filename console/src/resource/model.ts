/** The operations on the resources of a service, according to its contract. */

import { PAGING, type Operation, type Service } from "../api/contract";
import type { Reach } from "../shell/user";

export type Item = {
  get: Operation;
  /** The name of the path's last variable. */
  variable: string;
  update: Operation | undefined;
  remove: Operation | undefined;
  actions: Operation[];
};

export type Resource = {
  lists: Operation[];
  item: Item | undefined;
  /** The deletion of a resource that is only in lists, such as a consent. */
  removal: Operation | undefined;
  create: Operation | undefined;
  /** Operations that are not about a particular resource. */
  actions: Operation[];
};

function itemOf(operations: Operation[]): Item | undefined {
  const get = operations.find((one) => one.method === "get" && !one.answersList && one.data && one.path.endsWith("}"));
  const variable = get?.variables.at(-1);
  if (!get || variable === undefined) return undefined;
  const at = (method: string) => operations.find((one) => one.method === method && one.path === get.path);
  const actions = operations.filter(
    (one) => one.path.startsWith(`${get.path}/`) && one.method !== "get" && one.variables.length === get.variables.length,
  );
  return { get, variable, update: at("patch"), remove: at("delete"), actions };
}

export function resourceOf(service: Service, reach: Reach): Resource {
  const operations = service.operations.filter((one) => reach(one) !== undefined);
  const lists = operations.filter((one) => one.method === "get" && one.answersList);
  const item = itemOf(operations);
  const removes = (one: Operation) => one.method === "delete" && lists.some((list) => one.path === `${list.path}/{${one.variables.at(-1)}}`);
  const removal = item ? undefined : operations.find(removes);
  const create = operations.find((one) => one.method === "post" && lists.some((list) => list.path === one.path));
  const taken = new Set([create, item?.update, item?.remove, ...(item?.actions ?? [])]);
  const actions = operations.filter(
    (one) => one.method !== "get" && !taken.has(one) && one.variables.length === 0 && !one.path.includes("/auth/"),
  );
  return { lists, item, removal, create, actions };
}

export function filtersOf(list: Operation) {
  return list.query.filter((parameter) => !PAGING.has(parameter.name));
}

/** Fills in the variables of a path; undefined while one is missing. */
export function pathOf(operation: Operation, values: Readonly<Record<string, string | undefined>>): string | undefined {
  if (operation.variables.some((name) => !values[name])) return undefined;
  return operation.path.replace(/\{([^}]+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ""));
}

/** The fields that identify a resource for users, the best first. */
const TITLES = ["name", "title", "subject", "email", "url", "description", "type", "eventType", "productName", "slug", "clientName"];

/** Returns the field that is the title of a resource with these fields. */
export function titleFieldOf(fields: object): string | undefined {
  return TITLES.find((name) => name in fields);
}

export function titleOf(value: Readonly<Record<string, unknown>>): string {
  const field = TITLES.find((name) => typeof value[name] === "string" && value[name] !== "");
  return String((field && value[field]) ?? value["id"] ?? "");
}

/** Returns the version that a change is based on. */
export function versionOf(value: Readonly<Record<string, unknown>>): string | undefined {
  return typeof value["version"] === "string" ? value["version"] : undefined;
}
