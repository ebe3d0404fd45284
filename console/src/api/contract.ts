/** The description of services in the contract: the OpenAPI document, read on first use. */

import { useQuery } from "@tanstack/react-query";

import { call } from "./client";

export type Schema = {
  $ref?: string;
  type?: string;
  format?: string;
  description?: string;
  enum?: string[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  minLength?: number;
  maxLength?: number;
};

type Parameter = { $ref?: string; name: string; in: string; required?: boolean; description?: string; schema: Schema };
type Content = Record<string, { schema: Schema }>;
/** What callers of a platform role reach with the scope, and without it; nothing if that is not said. */
export type Grant = { role: string; reach: string; scope?: string | null; reachWithoutScope?: string | null };
type RawOperation = {
  operationId: string;
  tags: string[];
  description?: string;
  deprecated?: boolean;
  parameters?: Parameter[];
  requestBody?: { content: Content };
  responses: Record<string, { content?: Content }>;
  "x-grpc-method"?: string;
  "x-policy"?: { grants: Grant[]; idempotency: string; conditional: boolean };
};
export type Document = {
  tags: { name: string; description: string; "x-displayName": string }[];
  paths: Record<string, Record<string, RawOperation>>;
  components: { schemas: Record<string, Schema> };
  /** The declared scopes. */
  "x-scopes"?: Scope[];
};

export type Operation = {
  id: string;
  /** The label: `Create order`. */
  label: string;
  method: string;
  path: string;
  /** The first sentence of the description. */
  summary: string;
  description: string;
  deprecated: boolean;
  /** The names of the path's variables. */
  variables: string[];
  query: Parameter[];
  body: Schema | undefined;
  /** The resource in the response. */
  data: Schema | undefined;
  answersList: boolean;
  grants: Grant[];
  needsKey: boolean;
  takesKey: boolean;
  conditional: boolean;
};

export type Service = { name: string; title: string; description: string; module: string; operations: Operation[] };
/** A declared scope, with its name for people by language. */
export type Scope = { name: string; summary: string; title: Record<string, string> };
/** A value that a request may have, with its meaning in a sentence. */
export type Choice = { name: string; summary: string };
export type Contract = { services: Service[]; scopes: Scope[]; resolve: (schema: Schema) => Schema };

/** Query parameters that every list accepts. */
export const PAGING = new Set(["page", "pageSize", "pageToken", "readMask", "updateMask"]);

/** Resolves references; a description beside a reference takes precedence over the referenced one. */
function resolver(document: Document): (schema: Schema) => Schema {
  return function resolve(schema: Schema): Schema {
    const name = schema.$ref?.split("/").pop();
    const target = name === undefined ? undefined : document.components.schemas[name];
    if (!target) return schema;
    const resolved = resolve(target);
    return schema.description ? { ...resolved, description: schema.description } : resolved;
  };
}

function jsonOf(content: Content | undefined): Schema | undefined {
  return content?.["application/json"]?.schema;
}

function operation(method: string, path: string, raw: RawOperation, resolve: (schema: Schema) => Schema): Operation {
  const success = Object.entries(raw.responses).find(([status]) => status.startsWith("2"));
  const answer = jsonOf(success?.[1].content);
  const data = answer && resolve(answer).properties?.["data"];
  const resolved = data && resolve(data);
  const body = jsonOf(raw.requestBody?.content);
  const policy = raw["x-policy"];
  return {
    id: raw.operationId,
    label: labelOf(raw.operationId),
    method,
    path,
    summary: (raw.description ?? "").split(/(?<=\.) (?=[A-Z])/)[0] ?? "",
    description: raw.description ?? "",
    deprecated: raw.deprecated ?? false,
    variables: [...path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1] ?? ""),
    query: (raw.parameters ?? []).filter((parameter) => parameter.in === "query"),
    body: body && resolve(body),
    data: resolved?.type === "array" && resolved.items ? resolve(resolved.items) : resolved,
    answersList: resolved?.type === "array",
    grants: policy?.grants ?? [],
    needsKey: policy?.idempotency === "required",
    takesKey: policy?.idempotency === "optional" || policy?.idempotency === "required",
    conditional: policy?.conditional ?? false,
  };
}

/** `Create order` for `OrderService_CreateOrder`. */
function labelOf(id: string): string {
  const words = (id.split("_").pop() ?? id).replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** `support` for `mainstay.support.v1.TicketService/ListTickets`, `fleet` for `fleet.v1.…`. */
function moduleOf(method: string): string {
  const names = method.split(".");
  return names[0] === "mainstay" ? (names[1] ?? "") : (names[0] ?? "");
}

export function contractOf(document: Document): Contract {
  const resolve = resolver(document);
  const services = new Map<string, Service>();
  for (const { name, description, "x-displayName": title } of document.tags) {
    services.set(name, { name, title, description, module: "", operations: [] });
  }
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, raw] of Object.entries(methods)) {
      const service = services.get(raw.tags[0] ?? "");
      const grpc = raw["x-grpc-method"];
      if (!service || !grpc) continue;
      service.module = moduleOf(grpc);
      service.operations.push(operation(method, path, raw, resolve));
    }
  }
  const all = [...services.values()].filter((service) => service.operations.length > 0);
  return { services: all, scopes: document["x-scopes"] ?? [], resolve };
}

/** Returns the values that a description lists with a sentence each. */
export function choicesOf({ description = "" }: Schema): Choice[] {
  return [...description.matchAll(/^- `([^`]+)`: (.*)$/gm)].map(([, name = "", summary = ""]) => ({ name, summary }));
}

export function useContract() {
  return useQuery({
    queryKey: ["contract"],
    queryFn: async ({ signal }) => contractOf((await call({ method: "get", path: "/openapi.json" }, signal)) as Document),
    staleTime: Number.POSITIVE_INFINITY,
    // Rows that appear while the contract can't be read would read it again and again.
    retryOnMount: false,
  });
}
