/** The destinations: the console's own pages, and a generic page for every other service of the contract. */

import { useContract, type Contract } from "../api/contract";
import { resourceOf } from "../resource/model";
import { useName, useText, type Text } from "../text";
import { useIsStaff, useMe, useReach, type Reach } from "./user";

export type Place = { to: string; title: string };
export type Group = { title: string; places: Place[] };

/**
 * The page lists the first service, unless an operation is given; the page covers the other services. Some pages are for
 * callers who reach every account, some for the members of one.
 */
type OwnPage = { to: string; title: Text; services: string[]; needs?: string; ofAll?: boolean; ofMembers?: boolean };

const OWN: readonly { title: Text; ofCustomers?: Text; pages: readonly OwnPage[] }[] = [
  {
    title: "Support",
    pages: [
      { to: "/tickets", title: "Tickets", services: ["TicketService", "CommentService", "ActivityService", "TicketLinkService"] },
      { to: "/files", title: "Files", services: ["FileService"] },
      { to: "/customers", title: "Customers", services: ["AccountService"], ofAll: true },
      { to: "/s/CannedAnswerService", title: "Canned answers", services: ["CannedAnswerService"] },
    ],
  },
  {
    title: "Sales",
    ofCustomers: "Purchases",
    pages: [
      { to: "/orders", title: "Orders", services: ["OrderService"] },
      { to: "/s/ProductService", title: "Products", services: ["ProductService"] },
      { to: "/payments", title: "Payments", services: ["PaymentService", "RefundService"] },
      { to: "/subscriptions", title: "Subscriptions", services: ["SubscriptionService"] },
    ],
  },
  { title: "Content", pages: [{ to: "/posts", title: "Posts", services: ["PostService"] }] },
  {
    title: "Integration",
    pages: [
      { to: "/webhooks", title: "Webhooks", services: ["WebhookEndpointService", "WebhookDeliveryService"] },
      { to: "/inbound-events", title: "Inbound events", services: ["InboundEventService"] },
      { to: "/operations", title: "Operations", services: ["OperationService"] },
    ],
  },
  {
    title: "Access",
    pages: [
      { to: "/account", title: "Account", services: ["MemberService", "InvitationService", "AccountDomainService", "AccountProviderService", "RoleService"], ofMembers: true },
      { to: "/people", title: "People", services: ["UserService"] },
      { to: "/impersonations", title: "Impersonations", services: ["ImpersonationService"], ofAll: true },
      { to: "/s/DeletionService", title: "Deletions", services: ["DeletionService"], ofAll: true },
      { to: "/staff-roles", title: "Staff roles", services: ["RoleService"], ofAll: true },
      { to: "/service-keys", title: "Service keys", services: ["ServiceKeyService"] },
      { to: "/s/OauthClientService", title: "Applications", services: ["OauthClientService"], ofAll: true },
      { to: "/s/OauthConsentService", title: "Applications with access", services: ["OauthConsentService"] },
      { to: "/audit", title: "Audit log", services: ["AuditService"] },
      { to: "/profile", title: "Profile", services: [] },
      { to: "/security", title: "Sign-in and security", services: [] },
      { to: "/sessions", title: "Sessions", services: ["SessionService"] },
    ],
  },
  {
    title: "System",
    pages: [
      { to: "/queue", title: "Background work", services: ["OverviewService", "DeadJobService"], needs: "OverviewService_GetWorkOverview" },
      { to: "/logs", title: "System logs", services: ["SystemLogService"] },
      { to: "/deprecated-methods", title: "Deprecated methods", services: ["DeprecatedMethodService"], needs: "DeprecatedMethodService_GetDeprecatedMethods" },
      { to: "/settings", title: "Settings", services: ["SettingService"], needs: "SettingService_GetSettings" },
    ],
  },
];

/** Services without a page. */
const HIDDEN = new Set(["AuthService", "DataExportService", "LinkedIdentityService", "PasskeyService", "ScimResourceService", "SecondFactorService"]);

export function usePlaces(): Group[] {
  const t = useText();
  const name = useName();
  const isStaff = useIsStaff();
  const { accountId } = useMe();
  const reach = useReach();
  const { data: contract, error } = useContract();
  if (!contract && !error) return [{ title: "", places: [{ to: "/", title: t("Home") }] }];
  const own = OWN.map(({ title, ofCustomers, pages }) => ({
    title: t((!isStaff && ofCustomers) || title),
    places: pages.filter((page) => isOpen(page, contract, reach) && (!page.ofMembers || accountId !== undefined)).map((page) => ({ to: page.to, title: t(page.title) })),
  }));
  const covered = new Set(OWN.flatMap(({ pages }) => pages.flatMap((page) => page.services)));
  const others = new Map<string, Place[]>();
  for (const service of contract?.services ?? []) {
    const listed = resourceOf(service, reach).lists.some((list) => !list.deprecated);
    if (!listed || covered.has(service.name) || HIDDEN.has(service.name)) continue;
    const places = others.get(service.module) ?? [];
    others.set(service.module, [...places, { to: `/s/${service.name}`, title: name(service.title) }]);
  }
  const modules = [...others].map(([module, places]) => ({ title: name(module), places }));
  return [{ title: "", places: [{ to: "/", title: t("Home") }] }, ...own, ...modules].filter((group) => group.places.length > 0);
}

/** Returns whether the user may read the page's data; if the contract can't be read, all pages are offered. */
function isOpen({ services, needs, ofAll = false }: OwnPage, contract: Contract | undefined, reach: Reach): boolean {
  if (!contract || services.length === 0) return true;
  const service = contract.services.find((one) => one.name === services[0]);
  if (!service) return false;
  const reads = needs === undefined ? resourceOf(service, reach).lists : service.operations.filter(({ id }) => id === needs);
  return reads.some((one) => (ofAll ? reach(one) === "any" : reach(one) !== undefined));
}
