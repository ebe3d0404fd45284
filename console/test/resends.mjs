// Requests that are repeated, or changed and sent, after a response was lost or an error was returned.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { go, same, sound } from "./browser.mjs";
import { send } from "./fixture.mjs";
import { becomes } from "./wait.mjs";

const NO_ANSWER = "The server does not answer";
const SOMETHING_NEW = "What you sent before may have taken effect.";

/** Passes the requests of a method to `answer`, with the number of preceding ones, and returns their keys. */
async function intercept(page, path, method, answer) {
  const keys = [];
  await page.route(path, (route) => {
    if (route.request().method() !== method) return route.continue();
    keys.push(route.request().headers()["idempotency-key"]);
    return answer(route, keys.length - 1);
  });
  return keys;
}

/** Lets the server carry out a request, and loses the response. */
async function lose(route) {
  await route.fetch();
  await route.abort();
}

const loseFirst = (route, before) => (before === 0 ? lose(route) : route.continue());

export function resends({ token, me, payment }) {
  const create = async (subject) => (await send("POST", "tickets", { accountId: me.accountId, subject, body: "As it is." }, token)).data;
  const comments = async (id) => (await send("GET", `tickets/${id}/comments`, undefined, token)).data.map(({ body }) => body).sort().join(" ");
  return [
    {
      name: "a text that is changed while its comment is sent is another comment",
      run: async (page) => {
        page.mayLose = true;
        const { id } = await create("Changed in the meantime");
        let release;
        const changed = new Promise((done) => {
          release = done;
        });
        const keys = await intercept(page, "**/comments", "POST", async (route, before) => {
          if (before > 0) return route.continue();
          await route.fetch();
          await changed;
          return route.abort();
        });
        await go(page, `/tickets/${id}`);
        const text = page.getByLabel("New comment");
        const press = () => page.getByRole("button", { name: "Comment" }).click();
        await text.fill("One.");
        await press();
        await text.fill("Two.");
        release();
        await page.getByText(NO_ANSWER).waitFor();
        await page.getByText(SOMETHING_NEW).waitFor();
        await sound(page, "a comment of which an earlier text may be saved");
        // The same text as before is the same comment.
        await text.fill("One.");
        await page.getByText(SOMETHING_NEW).waitFor({ state: "detached" });
        await press();
        await page.getByText(NO_ANSWER).waitFor({ state: "detached" });
        await becomes(() => text.inputValue(), "", "the text that was sent");
        await text.fill("Two.");
        await press();
        await page.locator(".thread").getByText("Two.").waitFor();
        same(await comments(id), "One. Two.", "the comments");
        same(keys.length, 3, "requests");
        same(keys[1], keys[0], "the key of the same text");
        same(keys[2] === keys[0], false, "whether another text has the same key");
      },
    },
    {
      name: "what is entered while a comment is on its way is kept",
      run: async (page) => {
        const { id } = await create("Entered in the meantime");
        let release;
        const entered = new Promise((done) => {
          release = done;
        });
        await intercept(page, "**/comments", "POST", async (route) => {
          await entered;
          await route.continue();
        });
        await go(page, `/tickets/${id}`);
        const text = page.getByLabel("New comment");
        await text.fill("One.");
        await text.press("Control+Enter");
        await text.fill("Two.");
        // It waits for the request in flight.
        await text.press("Control+Enter");
        release();
        await page.locator(".thread").getByText("One.").waitFor();
        await becomes(() => text.inputValue(), "Two.", "what was entered");
        same(await comments(id), "One.", "the comments");
      },
    },
    {
      name: "what was refused is sent again under another key, because the refusal is stored under the first",
      options: { refused: [422] },
      run: async (page) => {
        const { id } = await create("Refused at first");
        const error = { code: "BUSINESS_RULE_VIOLATION", message: "Not now.", fields: {}, requestId: "the-request-id", retryable: false };
        const keys = await intercept(page, "**/comments", "POST", (route, before) => (before === 0 ? route.fulfill({ status: 422, json: { error } }) : route.continue()));
        await go(page, `/tickets/${id}`);
        await page.getByLabel("New comment").fill("Said twice.");
        await page.getByRole("button", { name: "Comment" }).click();
        await page.getByText("This was not accepted").waitFor();
        await page.getByRole("button", { name: "Comment" }).click();
        await page.locator(".thread").getByText("Said twice.").waitFor();
        same(new Set(keys).size, 2, "keys");
      },
    },
    {
      name: "a refund of another amount has a key of its own, and the first one is said to be possible",
      run: async (page) => {
        page.mayLose = true;
        const keys = await intercept(page, "**/payments/*/refunds", "POST", (route) => route.abort());
        await go(page, `/payments/${payment.id}`);
        await page.getByRole("button", { name: "Refund …" }).click();
        const dialog = page.getByRole("dialog");
        const once = dialog.getByText("If you send it again, it is still refunded only once.");
        const refund = async (amount) => {
          await dialog.getByLabel("Amount in EUR").fill(amount);
          const isLost = (request) => request.method() === "POST" && request.url().endsWith("/refunds");
          await Promise.all([page.waitForEvent("requestfailed", isLost), dialog.getByRole("button", { name: `Refund €${amount}.00` }).click()]);
          await dialog.getByText(NO_ANSWER).waitFor();
        };
        await refund("10");
        await once.waitFor();
        await dialog.getByLabel("Amount in EUR").fill("20");
        await dialog.getByText(SOMETHING_NEW).waitFor();
        await becomes(() => once.count(), 0, "promises for another amount");
        await sound(page, "a refund after another that may have been made");
        await refund("20");
        await refund("10");
        same(keys.length, 3, "requests");
        same(keys[2], keys[0], "the key of the same amount");
        same(keys[1] === keys[0], false, "whether another amount has the same key");
      },
    },
    {
      name: "a form that is sent again after a lost answer takes effect once",
      run: async (page) => {
        page.mayLose = true;
        const keys = await intercept(page, "**/api/v1/products", "POST", loseFirst);
        await go(page, "/s/ProductService");
        await page.getByRole("button", { name: "Create product" }).click();
        await page.getByRole("textbox", { name: "Name" }).fill("Created once");
        await page.getByLabel("Amount").fill("5.00");
        await page.getByLabel("Currency").fill("eur");
        const dialog = page.getByRole("dialog");
        await dialog.getByRole("button", { name: "Create product" }).click();
        await dialog.getByText(NO_ANSWER).waitFor();
        await page.getByRole("textbox", { name: "Name" }).fill("Created twice");
        await dialog.getByText(SOMETHING_NEW).waitFor();
        await page.getByRole("textbox", { name: "Name" }).fill("Created once");
        await dialog.getByRole("button", { name: "Create product" }).click();
        await dialog.waitFor({ state: "detached" });
        same(keys.length, 2, "requests");
        same(keys[1], keys[0], "the key of the same form");
        const { data } = await send("GET", "products?pageSize=100", undefined, token);
        same(data.filter(({ name }) => /^Created (once|twice)$/.test(name)).length, 1, "products");
      },
    },
    {
      name: "a form that is sent again is the same request, though the page has read the resource again",
      run: async (page) => {
        page.mayLose = true;
        const { data } = await send("POST", "products", { name: "Bench", price: { amountMinor: "9900", currencyCode: "EUR" } }, token);
        const keys = await intercept(page, "**/api/v1/products/*", "PATCH", loseFirst);
        await go(page, `/s/ProductService/${data.id}`);
        await page.getByRole("button", { name: "Edit" }).click();
        await page.getByRole("textbox", { name: "Name" }).fill("Bench, oak");
        const dialog = page.getByRole("dialog");
        await dialog.getByRole("button", { name: "Edit" }).click();
        await dialog.getByText(NO_ANSWER).waitFor();
        // Simulates that the user returns to the window after a while.
        await page.evaluate(() => {
          const now = Date.now;
          Date.now = () => now() + 60_000;
          window.dispatchEvent(new Event("visibilitychange"));
        });
        await page.locator("h1").getByText("Bench, oak").waitFor({ state: "attached" });
        await dialog.getByRole("button", { name: "Edit" }).click();
        await dialog.waitFor({ state: "detached" });
        same(keys.length, 2, "requests");
        same(keys[1], keys[0], "the key of the same form");
      },
    },
    {
      name: "what takes no key says that it may take effect twice",
      run: async (page) => {
        page.mayLose = true;
        await intercept(page, "**/api/v1/service-keys", "POST", (route) => route.abort());
        await go(page, "/service-keys");
        await page.getByRole("button", { name: "Create service key" }).click();
        await page.getByRole("textbox", { name: "Name" }).fill("Not created");
        await page.getByRole("checkbox", { name: "support.tickets.read" }).check();
        await page.getByRole("dialog").getByRole("button", { name: "Create service key" }).click();
        await page.getByRole("dialog").getByText("It may have taken effect. Sent again, it may do so twice").waitFor();
        await sound(page, "a form that may take effect twice");
      },
    },
    {
      name: "a change of a ticket whose answer was lost is no conflict with itself",
      run: async (page) => {
        page.mayLose = true;
        const { id } = await create("Resolved once");
        const keys = await intercept(page, "**/tickets/*/resolve", "POST", loseFirst);
        await go(page, `/tickets/${id}`);
        await page.getByRole("button", { name: "Resolve" }).click();
        await page.getByText(NO_ANSWER).waitFor();
        await page.getByRole("button", { name: "Try again" }).click();
        await page.getByText(NO_ANSWER).waitFor({ state: "detached" });
        await page.getByRole("button", { name: "Reopen" }).waitFor();
        await becomes(() => page.getByRole("alert").count(), 0, "errors that are left");
        same(keys.length, 2, "requests");
        same(keys[1], keys[0], "the key of the same change");
      },
    },
    {
      name: "a ticket whose deletion got no answer is deleted, and not missing",
      run: async (page) => {
        page.mayLose = true;
        const { id } = await create("Deleted once");
        await intercept(page, "**/api/v1/tickets/*", "DELETE", loseFirst);
        await go(page, `/tickets/${id}`);
        await page.getByRole("button", { name: "Delete", exact: true }).click();
        const dialog = page.getByRole("dialog");
        await dialog.getByRole("textbox").fill("Deleted once");
        await dialog.getByRole("button", { name: "Delete" }).click();
        await dialog.getByText(NO_ANSWER).waitFor();
        await dialog.getByRole("button", { name: "Delete" }).click();
        await page.getByText("Deleted: Deleted once").waitFor();
      },
    },
    ...[true, false].map((isRead) => ({
      name: `a post whose answer was lost is saved once, and edited further${isRead ? "" : ", though it can't be read"}`,
      run: async (page) => {
        page.mayLose = true;
        const { data } = await send("POST", "posts", { title: "Saved once", body: "Before." }, token);
        const path = "**/api/v1/posts/*";
        const keys = await intercept(page, path, "PATCH", loseFirst);
        await go(page, `/posts/${data.id}`);
        await page.getByLabel("Markdown").fill("With *one* change.");
        if (!isRead) await page.route(path, (route) => (route.request().method() === "GET" && keys.length === 1 ? route.abort() : route.fallback()));
        const press = () => page.getByRole("button", { name: "Save" }).click();
        await press();
        if (!isRead) {
          await page.getByText(NO_ANSWER).waitFor();
          await press();
          await page.getByText("Saved", { exact: true }).waitFor();
          same(keys[1], keys[0], "the key of the same text");
        }
        await page.locator(".prose em").getByText("one").waitFor();
        await page.getByText(NO_ANSWER).waitFor({ state: "detached" });
        await page.getByLabel("Markdown").fill("With *another* change.");
        await press();
        await page.locator(".prose em").getByText("another").waitFor();
        await becomes(() => page.getByRole("alert").count(), 0, "errors");
      },
    })),
    {
      name: "a file that is chosen again after a lost answer is stored once",
      run: async (page) => {
        page.mayLose = true;
        const { id } = await create("With a file");
        const dir = mkdtempSync(join(tmpdir(), "mainstay-console-"));
        try {
          const path = join(dir, "bill.txt");
          writeFileSync(path, "Twelve euros.");
          const keys = await intercept(page, "**/api/v1/files?*", "POST", (route, before) => (before === 0 ? route.abort() : route.continue()));
          await go(page, `/tickets/${id}`);
          const choose = async () => {
            const chooser = page.waitForEvent("filechooser");
            await page.locator(".attach").getByRole("button").click();
            await (await chooser).setFiles(path);
          };
          await choose();
          await page.getByText(NO_ANSWER).waitFor();
          await choose();
          await page.locator(".attach").getByText("bill.txt").waitFor();
          same(keys.length, 2, "requests");
          same(keys[1], keys[0], "the key of the same file");
        } finally {
          rmSync(dir, { recursive: true });
        }
      },
    },
  ];
}
