/** The URLs of the pages. Each page's code is loaded when it is first opened. */

import { createRootRoute, createRoute, createRouter, lazyRouteComponent, type RouteComponent } from "@tanstack/react-router";

import { Shell } from "./shell";
import { Crash, NotFound } from "./fallbacks";

type Search = Record<string, string | string[] | undefined>;

/** Parses `?a=1&a=2` without further syntax, so that the URL is readable and editable. */
function parseSearch(text: string): Search {
  const search: Search = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const known = search[name];
    search[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
  }
  return search;
}

function stringifySearch(search: Search): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const item of Array.isArray(value) ? value : [value]) if (item !== undefined && item !== "") params.append(name, item);
  }
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

function page<const P extends string>(path: P, component: RouteComponent) {
  return createRoute({ getParentRoute: () => root, path, component, validateSearch: (search: Search) => search });
}

const home = lazyRouteComponent(() => import("../pages/home"), "HomePage");
const list = lazyRouteComponent(() => import("../resource/list-page"), "ResourceListPage");
const item = lazyRouteComponent(() => import("../resource/item-page"), "ResourceItemPage");

const tickets = lazyRouteComponent(() => import("../pages/tickets/list"), "TicketsPage");
const ticket = lazyRouteComponent(() => import("../pages/tickets/detail"), "TicketPage");

const routes = [
  page("/", home),
  page("/customers", lazyRouteComponent(() => import("../pages/customers"), "CustomersPage")),
  page("/customers/$id", lazyRouteComponent(() => import("../pages/customers"), "CustomerPage")),
  page("/orders", lazyRouteComponent(() => import("../pages/sales/lists"), "OrdersPage")),
  page("/orders/$id", lazyRouteComponent(() => import("../pages/sales/order"), "OrderPage")),
  page("/payments", lazyRouteComponent(() => import("../pages/sales/lists"), "PaymentsPage")),
  page("/payments/$id", lazyRouteComponent(() => import("../pages/sales/payment"), "PaymentPage")),
  page("/subscriptions", lazyRouteComponent(() => import("../pages/sales/lists"), "SubscriptionsPage")),
  page("/subscriptions/$id", lazyRouteComponent(() => import("../pages/sales/subscription"), "SubscriptionPage")),
  page("/webhooks", lazyRouteComponent(() => import("../pages/webhooks/endpoints"), "EndpointsPage")),
  page("/webhooks/$id", lazyRouteComponent(() => import("../pages/webhooks/endpoints"), "EndpointPage")),
  page("/deliveries/$id", lazyRouteComponent(() => import("../pages/webhooks/delivery"), "DeliveryPage")),
  page("/inbound-events", lazyRouteComponent(() => import("../pages/webhooks/inbound"), "InboundEventsPage")),
  page("/inbound-events/$id", lazyRouteComponent(() => import("../pages/webhooks/inbound"), "InboundEventPage")),
  page("/operations", lazyRouteComponent(() => import("../pages/operations"), "OperationsPage")),
  page("/operations/$id", lazyRouteComponent(() => import("../pages/operations"), "OperationPage")),
  page("/posts", lazyRouteComponent(() => import("../pages/posts/list"), "PostsPage")),
  page("/posts/$id", lazyRouteComponent(() => import("../pages/posts/post"), "PostPage")),
  page("/files", lazyRouteComponent(() => import("../pages/files"), "FilesPage")),
  page("/account", lazyRouteComponent(() => import("../pages/account/account"), "AccountPage")),
  page("/staff-roles", lazyRouteComponent(() => import("../pages/account/roles"), "StaffRolesPage")),
  page("/people", lazyRouteComponent(() => import("../pages/access/people"), "PeoplePage")),
  page("/people/$id", lazyRouteComponent(() => import("../pages/access/people"), "PersonPage")),
  page("/impersonations", lazyRouteComponent(() => import("../pages/access/impersonations"), "ImpersonationsPage")),
  page("/audit", lazyRouteComponent(() => import("../pages/access/audit"), "AuditPage")),
  page("/profile", lazyRouteComponent(() => import("../pages/access/profile"), "ProfilePage")),
  page("/security", lazyRouteComponent(() => import("../pages/access/security"), "SecurityPage")),
  page("/service-keys", lazyRouteComponent(() => import("../pages/access/keys"), "ServiceKeysPage")),
  page("/sessions", lazyRouteComponent(() => import("../pages/access/sessions"), "SessionsPage")),
  page("/queue", lazyRouteComponent(() => import("../pages/system/queue"), "QueuePage")),
  page("/logs", lazyRouteComponent(() => import("../pages/system/logs"), "LogsPage")),
  page("/deprecated-methods", lazyRouteComponent(() => import("../pages/system/deprecated"), "DeprecatedMethodsPage")),
  page("/settings", lazyRouteComponent(() => import("../pages/system/settings"), "SettingsPage")),
  page("/tickets", tickets),
  page("/tickets/$id", ticket),
  page("/s/$service", list),
  page("/s/$service/$id", item),
] as const;

export function createConsoleRouter() {
  return createRouter({
    routeTree: root.addChildren([...routes]),
    basepath: "/console",
    parseSearch,
    stringifySearch,
    defaultPreload: "intent",
    defaultErrorComponent: Crash,
    defaultViewTransition: false,
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createConsoleRouter>;
  }
}
