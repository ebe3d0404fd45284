/** The lists of orders, payments and subscriptions. */

import { api, read } from "../../api/client";
import { useIsStaff } from "../../shell/user";
import { useText } from "../../text";
import { useAccounts } from "../../ui/names";
import { Action, ChoiceFilter, FilterBar, ListPage, pageOf, type Search } from "../kit";
import { useOrderColumns, usePaymentColumns, useSubscriptionColumns, type Order, type Payment, type Subscription } from "./columns";

const ORDER_STATUSES = ["ORDER_STATUS_OPEN", "ORDER_STATUS_PAYING", "ORDER_STATUS_PAID", "ORDER_STATUS_CANCELLED", "ORDER_STATUS_REFUNDED"] as const satisfies readonly Order["status"][];
const PAYMENT_STATUSES = ["PAYMENT_STATUS_PENDING", "PAYMENT_STATUS_SUCCEEDED", "PAYMENT_STATUS_FAILED"] as const satisfies readonly Payment["status"][];
const SUBSCRIPTION_STATUSES = ["SUBSCRIPTION_STATUS_PENDING", "SUBSCRIPTION_STATUS_ACTIVE", "SUBSCRIPTION_STATUS_PAST_DUE", "SUBSCRIPTION_STATUS_CANCELLED", "SUBSCRIPTION_STATUS_FAILED"] as const satisfies readonly Subscription["status"][];

/** Returns the query of a list; invalid values in the URL are ignored. */
function queryOf<S extends string>(search: Search, statuses: readonly S[]) {
  const status = statuses.find((one) => one === search["status"]);
  return {
    page: pageOf(search),
    pageSize: 50,
    ...(status && { statuses: [status] }),
    ...(search["accountId"] && { accountId: search["accountId"] }),
  };
}

export function OrdersPage() {
  const t = useText();
  const isStaff = useIsStaff();
  return (
    <ListPage waits={useAccounts().isLoading} name="orders" title={t("Orders")} empty={!isStaff ? t("No orders yet. An order appears here once the product, or one of our agents, creates it for this account.") : t("No orders yet. Create one with the button above. An order needs a product, which the page Products creates.")} columns={useOrderColumns()}
      actions={<Action id="OrderService_CreateOrder" primary />}
      filters={<FilterBar><ChoiceFilter name="status" values={ORDER_STATUSES} /></FilterBar>}
      fetch={(search, signal) => read(api.GET("/api/v1/orders", { params: { query: queryOf(search, ORDER_STATUSES) }, signal }))} />
  );
}

export function PaymentsPage() {
  const t = useText();
  const isStaff = useIsStaff();
  return (
    <ListPage waits={useAccounts().isLoading} name="payments" title={t("Payments")} empty={!isStaff ? t("No payments yet. A payment appears here once an order of this account is paid on its page.") : t("No payments yet. Charge an open order with the button on its page. The payment then appears here with its refunds.")} columns={usePaymentColumns()}
      filters={<FilterBar><ChoiceFilter name="status" values={PAYMENT_STATUSES} /></FilterBar>}
      fetch={(search, signal) => read(api.GET("/api/v1/payments", { params: { query: queryOf(search, PAYMENT_STATUSES) }, signal }))} />
  );
}

export function SubscriptionsPage() {
  const t = useText();
  const isStaff = useIsStaff();
  return (
    <ListPage waits={useAccounts().isLoading} name="subscriptions" title={t("Subscriptions")} empty={!isStaff ? t("No subscriptions yet. A subscription appears here once the product, or one of our agents, creates it for this account.") : t("No subscriptions yet. Create one with the button above. A subscription needs a product that is billed each month or year.")} columns={useSubscriptionColumns()}
      actions={<Action id="SubscriptionService_CreateSubscription" primary />}
      filters={<FilterBar><ChoiceFilter name="status" values={SUBSCRIPTION_STATUSES} /></FilterBar>}
      fetch={(search, signal) => read(api.GET("/api/v1/subscriptions", { params: { query: queryOf(search, SUBSCRIPTION_STATUSES) }, signal }))} />
  );
}
