// The user-visible errors: the remedy, and the request id.

import { go, same, settled, sound } from "./browser.mjs";
import { send } from "./fixture.mjs";
import { becomes } from "./wait.mjs";

const LIST = "**/api/v1/tickets?*";

/** Answers like the server. */
function refusal(status, code, headers = {}) {
  const error = { code, message: "As the test has it.", fields: {}, requestId: "the-request-id", retryable: status >= 500 };
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify({ error }) };
}

export function failures({ token, tickets, payment }) {
  const shown = [
    [403, "PERMISSION_DENIED", "You may not do this"],
    [429, "RATE_LIMIT_EXCEEDED", "Too many requests"],
    [503, "OVERLOADED", "The server is busy"],
    [500, "INTERNAL_ERROR", "Something went wrong"],
  ];
  return [
    ...shown.map(([status, code, title]) => ({
      name: `${status} says what to do`,
      options: { refused: [status] },
      run: async (page) => {
        let refused = true;
        await page.route(LIST, (route) => (refused ? route.fulfill(refusal(status, code, { "retry-after": "1" })) : route.continue()));
        await go(page, "/tickets");
        await page.getByText(title).waitFor();
        await page.getByText("the-request-id").waitFor();
        await sound(page, `the state of ${status}`);
        refused = false;
        await page.getByRole("button", { name: "Try again" }).click();
        await page.waitForSelector("[data-ticket]");
      },
    })),
    {
      name: "the page of a resource calls only a missing one not found",
      options: { refused: [503, 404] },
      run: async (page) => {
        let busy = true;
        await page.route("**/api/v1/operations/*", (route) => route.fulfill(busy ? refusal(503, "OVERLOADED") : refusal(404, "NOT_FOUND")));
        await go(page, "/operations/01a1fcac-1cdd-7ca6-ba6b-1856d46c564f");
        await page.getByRole("heading", { name: "Something went wrong" }).waitFor();
        await page.getByText("The server is busy").waitFor();
        busy = false;
        await page.getByRole("button", { name: "Try again" }).click();
        await page.getByRole("heading", { name: "Not found" }).waitFor();
      },
    },
    {
      name: "refunds that can't be read are not none",
      options: { refused: [503] },
      run: async (page) => {
        let busy = true;
        await page.route("**/payments/*/refunds?*", (route) => (busy ? route.fulfill(refusal(503, "OVERLOADED")) : route.continue()));
        await go(page, `/payments/${payment.id}`);
        await page.getByRole("heading", { name: "Payment of" }).waitFor();
        await page.getByText("The server is busy").waitFor();
        await sound(page, "a payment without its refunds");
        busy = false;
        await page.getByRole("button", { name: "Try again" }).click();
        await page.getByText("The server is busy").waitFor({ state: "detached" });
      },
    },
    {
      name: "a list that was empty and can't be read again is not called empty",
      options: { refused: [503] },
      run: async (page) => {
        let busy = false;
        await page.route("**/api/v1/dead-jobs", (route) => route.fulfill(busy ? refusal(503, "OVERLOADED") : { json: { data: [] } }));
        await go(page, "/queue");
        await page.getByText("No dead jobs.").waitFor();
        busy = true;
        await page.getByText("The server is busy").waitFor();
        await becomes(() => page.getByText("No dead jobs.").count(), 0, "lists that are called empty");
        busy = false;
        await page.getByText("No dead jobs.").waitFor();
      },
    },
    {
      name: "what there is to choose from is missing with a reason",
      options: { refused: [503] },
      run: async (page) => {
        let busy = true;
        const answer = (route) => (busy ? route.fulfill(refusal(503, "OVERLOADED")) : route.continue());
        await page.route("**/api/v1/users?roles=*", answer);
        await page.route("**/api/v1/tickets/labels", answer);
        for (const path of [`/tickets/${tickets[1].id}`, "/tickets"]) {
          busy = true;
          await go(page, path);
          await page.getByText("The server is busy").waitFor();
          await sound(page, `${path} without its choices`);
          busy = false;
          await page.getByRole("button", { name: "Try again" }).click();
          await page.getByText("The server is busy").waitFor({ state: "detached" });
        }
      },
    },
    {
      name: "without the contract, the console says that pages and actions are missing",
      options: { refused: [503] },
      run: async (page) => {
        let busy = true;
        await page.route("**/openapi.json", (route) => (busy ? route.fulfill(refusal(503, "OVERLOADED")) : route.continue()));
        await go(page, "/orders");
        await page.getByText("Until this can be read, some pages and actions are missing.").waitFor();
        await sound(page, "a page without the contract");
        busy = false;
        await page.getByRole("button", { name: "Try again" }).click();
        await page.getByRole("button", { name: "Create order" }).waitFor();
        await page.getByRole("navigation", { name: "Navigation" }).getByRole("link", { name: "Products" }).waitFor();
        await becomes(() => page.getByRole("alert").count(), 0, "errors that are left");
      },
    },
    {
      name: "a change that failed is sent again",
      options: { refused: [503] },
      run: async (page) => {
        let refused = true;
        await page.route("**/tickets/*/resolve", (route) => (refused ? route.fulfill(refusal(503, "OVERLOADED")) : route.continue()));
        await go(page, `/tickets/${tickets[2].id}`);
        await page.getByRole("button", { name: "Resolve" }).click();
        await page.getByText("The server is busy").waitFor();
        refused = false;
        await page.getByRole("button", { name: "Try again" }).click();
        await page.getByRole("button", { name: "Reopen" }).waitFor();
        await becomes(() => page.getByRole("alert").count(), 0, "errors that are left");
      },
    },
    {
      name: "the request id of an error leads to its lines in the log",
      options: { refused: [500] },
      run: async (page) => {
        await page.route(LIST, (route) => route.fulfill(refusal(500, "INTERNAL_ERROR")));
        await go(page, "/tickets");
        await page.getByRole("link", { name: "Log lines" }).click();
        await page.getByRole("heading", { name: "System logs" }).waitFor();
        await page.getByText("No line matches.").waitFor();
        await becomes(() => page.getByLabel("Request id").inputValue(), "the-request-id", "what the log is filtered by");
      },
    },
    {
      name: "a log that can't be read in full says what is missing",
      run: async (page) => {
        const degraded = [{ code: "DEGRADED_PERFORMANCE", part: "log_store", message: "Only the last lines of this server." }];
        await page.route("**/dashboard/system-logs?*", (route) => route.fulfill({ status: 206, json: { data: [], meta: { pageSize: 50, degraded } } }));
        await go(page, "/logs");
        await page.getByText("This is not everything.").waitFor();
        await page.getByText("Only the last lines of this server.").waitFor();
        await sound(page, "a degraded log");
      },
    },
    {
      name: "what is sent again after a lost answer takes effect once",
      run: async (page) => {
        let lost = true;
        await page.route("**/comments", async (route) => {
          if (route.request().method() !== "POST" || !lost) return route.continue();
          lost = false;
          await route.fetch();
          return route.abort();
        });
        page.mayLose = true;
        await go(page, `/tickets/${tickets[2].id}`);
        await page.getByLabel("New comment").fill("Sent twice, written once.");
        await page.getByRole("button", { name: "Comment" }).click();
        await page.getByText("The server does not answer").waitFor();
        await page.getByRole("button", { name: "Comment" }).click();
        await page.getByText("The server does not answer").waitFor({ state: "hidden" });
        // The field is empty once the second request is answered.
        await becomes(() => page.getByLabel("New comment").inputValue(), "", "the text that is to be sent");
        const { data } = await send("GET", `tickets/${tickets[2].id}/comments`, undefined, token);
        same(data.filter(({ body }) => body === "Sent twice, written once.").length, 1, "comments");
      },
    },
    {
      name: "what still runs under its key is waited for, not refused",
      options: { refused: [409] },
      run: async (page) => {
        const keys = [];
        await page.route("**/comments", async (route) => {
          if (route.request().method() !== "POST") return route.continue();
          keys.push(route.request().headers()["idempotency-key"]);
          return keys.length < 3 ? route.fulfill(refusal(409, "IDEMPOTENCY_IN_PROGRESS", { "retry-after": "1" })) : route.continue();
        });
        await go(page, `/tickets/${tickets[3].id}`);
        await page.getByLabel("New comment").fill("Written by the one before.");
        await page.getByRole("button", { name: "Comment" }).click();
        await page.locator(".thread").getByText("Written by the one before.").waitFor();
        if (keys.length !== 3 || new Set(keys).size !== 1) throw new Error(`sent under ${keys}`);
      },
    },
    {
      name: "what runs for too long under its key says so",
      options: { refused: [409] },
      run: async (page) => {
        await page.route("**/comments", (route) => (route.request().method() === "POST" ? route.fulfill(refusal(409, "IDEMPOTENCY_IN_PROGRESS", { "retry-after": "31" })) : route.continue()));
        await go(page, `/tickets/${tickets[3].id}`);
        await page.getByLabel("New comment").fill("Not written.");
        await page.getByRole("button", { name: "Comment" }).click();
        await page.getByText("It is still being carried out").waitFor();
      },
    },
    {
      name: "without a network, the page says so and comes back",
      run: async (page) => {
        await go(page, "/tickets");
        await settled(page);
        page.mayLose = true;
        await page.context().setOffline(true);
        await page.getByText("You are offline.").waitFor();
        await sound(page, "offline");
        await page.context().setOffline(false);
        await page.getByText("You are offline.").waitFor({ state: "hidden" });
        await page.getByLabel("Search").fill("printed");
        await page.waitForSelector("[data-ticket]");
      },
    },
    {
      name: "a busy server at the start does not sign anybody out",
      options: { refused: [503] },
      run: async (page) => {
        let busy = true;
        await page.route("**/session/refresh", (route) => (busy ? route.fulfill(refusal(503, "OVERLOADED")) : route.continue()));
        await go(page, "/tickets");
        await page.getByText("The server is busy").waitFor();
        busy = false;
        await page.getByRole("button", { name: "Try again" }).click();
        await page.waitForSelector("[data-ticket]");
      },
    },
    {
      name: "an expired token is replaced without anybody noticing",
      run: async (page) => {
        let expired = true;
        await page.route(LIST, (route) => {
          if (!expired) return route.continue();
          expired = false;
          return route.fulfill(refusal(401, "TOKEN_EXPIRED"));
        });
        await go(page, "/tickets");
        await page.waitForSelector("[data-ticket]");
      },
    },
    {
      name: "a session that was ended elsewhere leads to the sign-in",
      run: async (page) => {
        await go(page, "/tickets");
        await settled(page);
        await page.route("**/session/refresh", (route) => route.fulfill(refusal(401, "SESSION_REVOKED")));
        await page.route("**/api/**", (route) => route.fulfill(refusal(401, "SESSION_REVOKED")));
        await page.getByLabel("Search").fill("printed");
        await page.waitForSelector(".sign-in");
      },
    },
  ];
}
