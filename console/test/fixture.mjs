// Fills a server with resources of every kind, through its public API.

import { setTimeout as pause } from "node:timers/promises";

import { becomes } from "./wait.mjs";

const ATTEMPTS = 5;
const { MAINSTAY_URL, MAINSTAY_EMAIL, MAINSTAY_PASSWORD } = process.env;

export async function signIn(email = MAINSTAY_EMAIL, password = MAINSTAY_PASSWORD, origin = MAINSTAY_URL) {
  const { data } = await send("POST", "auth/login", { email, password }, undefined, {}, origin);
  return data.accessToken;
}

/** Sends a request again that a busy server has refused for the moment: a read, or one with a key. */
async function answer(url, init) {
  const isRepeatable = init.method === "GET" || init.headers["idempotency-key"];
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(url, init);
    if (![503, 504].includes(response.status) || !isRepeatable || attempt === ATTEMPTS) return response;
    await pause(1000);
  }
}

export async function send(method, path, body, token, headers = {}, origin = MAINSTAY_URL) {
  const init = { method, headers: { ...headers } };
  if (token) init.headers.authorization = `Bearer ${token}`;
  if (typeof body === "string") {
    Object.assign(init, { body });
  } else if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    init.headers["idempotency-key"] = crypto.randomUUID();
    init.body = JSON.stringify(body);
  }
  const response = await answer(`${origin}/api/v1/${path}`, init);
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? {} : await response.json();
}

const SUBJECTS = [
  ["Invoices are printed twice", "Since this morning every invoice comes out of the printer twice.", "HIGH"],
  ["Can't sign in after the update", "It says that the session has ended, again and again.", "URGENT"],
  ["Please add a second delivery address", "We have moved; the old address stays for invoices.", "LOW"],
  ["Export misses the last day", "The CSV of November ends on the 29th.", "MEDIUM"],
  ["Rechnung ohne Steuernummer", "Auf der letzten Rechnung fehlt unsere Umsatzsteuer-Id.", "HIGH"],
];

export async function fill() {
  const token = await signIn();
  const post = async (path, body) => (await send("POST", path, body, token)).data;
  const { data: user, accountId } = await send("GET", "me", undefined, token);
  // Staff need no account; what is made here belongs to a customer.
  const me = { ...user, accountId: accountId ?? (await post("accounts", { name: "Difference Engines Ltd" })).id };
  const account = { accountId: me.accountId };
  const tickets = [];
  for (const [subject, body, priority] of SUBJECTS) {
    const tags = [priority.toLowerCase(), "console"];
    tickets.push(await post("tickets", { ...account, subject, body, priority: `TICKET_PRIORITY_${priority}`, tags }));
  }
  await post(`tickets/${tickets[0].id}/comments`, { body: "We have found the cause: the queue was restarted during a job." });
  const file = (await send("POST", `files?name=printed%20twice.txt&purpose=FILE_PURPOSE_ATTACHMENT`, "Invoice 2041, and invoice 2041 again.", token, { "content-type": "text/plain" })).data;
  await post(`tickets/${tickets[0].id}/comments`, { body: "The account is on the list for the pilot.", internal: true });
  await post(`tickets/${tickets[0].id}/comments`, { body: "Thank you. It is better since ten o'clock.", attachmentIds: [file.id] });
  await post(`tickets/${tickets[0].id}/links`, { otherId: tickets[4].id, kind: "TICKET_LINK_KIND_RELATED" });
  await post("canned-answers", { name: "Ask for the invoice number", body: "Dear {{customer.name}}, which invoice is it? {{agent.name}}" });
  await post(`tickets/${tickets[0].id}/assign`, { assigneeId: me.id });
  const desk = await post("products", { name: "Standing desk", price: { amountMinor: "39900", currencyCode: "EUR" } });
  const box = await post("products", { name: "Coffee, monthly", price: { amountMinor: "1890", currencyCode: "EUR" }, billingInterval: "BILLING_INTERVAL_MONTH" });
  const order = (quantity) => post("orders", { ...account, items: [{ productId: desk.id, quantity }] });
  const paid = await order(2);
  const payment = await post("payments/charge", { orderId: paid.id, paymentMethod: "pm_card_visa" });
  await order(1);
  const declined = await order(3);
  await send("POST", "payments/charge", { orderId: declined.id, paymentMethod: "pm_card_visa_chargeDeclined" }, token).catch(() => undefined);
  const subscription = await post("subscriptions", { ...account, productId: box.id, paymentMethod: "pm_card_visa" });
  const endpoint = await post("webhook-endpoints", { url: "https://hooks.example.invalid/mainstay", description: "Warehouse", eventTypes: ["support.ticket.created"], ...account });
  await post("tickets", { ...account, subject: "An event for the webhook", body: "It is sent to the warehouse." });
  const draft = await post("posts", { title: "How to read an invoice", body: "# Invoices\n\nThe **number** is at the top.\n\n- net\n- tax\n- total", summary: "Where everything stands on an invoice." });
  const post2 = await post("posts", { title: "Opening hours at the end of the year", body: "We are closed from **24 December**.", tags: ["news"] });
  await post(`posts/${post2.id}/publish`, undefined);
  const key = await post("service-keys", { name: "Nightly export", scopes: ["support.tickets.read"] });
  const csv = "subject,body,type,priority\nImported one,It came in a file,Incident,high\nImported two,So did this,Request,low\n,,Nonsense,\n";
  const operation = (await send("POST", `tickets/import?accountId=${me.accountId}`, csv, token, { "content-type": "text/csv" })).data;
  const delivery = await first(`webhook-endpoints/${endpoint.id}/deliveries`, token);
  return { token, me, delivery, tickets, order: paid, payment, subscription, endpoint, draft, key, operation, product: desk };
}

/** Returns the first item of a list, which may be empty for a moment. */
const first = (path, token) => becomes(async () => (await send("GET", path, undefined, token)).data[0], (item) => item !== undefined, `the first of ${path}`);

if (process.argv[1] === new URL(import.meta.url).pathname) console.log(JSON.stringify(await fill(), null, 1).slice(0, 300));
