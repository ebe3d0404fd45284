// Steps with a dedicated server: it is killed and restarted, has dead events, and a hundred thousand tickets.

import { createHmac } from "node:crypto";

import { drawn, go, same, scrollBy, settled, sound } from "./browser.mjs";
import { WEBHOOK_SECRET } from "./server.mjs";
import { becomes } from "./wait.mjs";

/**
 * The maximum time until a request succeeds whose predecessor died with the server, in milliseconds: its lease, plus a
 * margin for a slow machine.
 */
const TAKEN_OVER = 60_000;
/** The maximum time of background work, or of moving through many rows, on a slow machine, in milliseconds. */
const LONG_MS = 120_000;

/** The times at which a server can die during a request: before it reads it, at any time, and after it has committed. */
const DEATHS = {
  "before it reads the request": async (page, server, path, act) => {
    const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith(path));
    server.freeze();
    await act();
    await sent;
    await server.kill();
  },
  "somewhere in the middle": async (page, server, path, act) => {
    const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith(path));
    await act();
    await sent;
    await server.kill();
  },
  "after it has committed": async (page, server, path, act) => {
    const isDone = new Promise((done) => {
      page.route(`**${path}`, async (route) => {
        if (route.request().method() !== "POST") return route.continue();
        await route.fetch();
        await server.kill();
        await route.abort();
        done();
      });
    });
    await act();
    await isDone;
    await page.unroute(`**${path}`);
  },
};

async function paid(server) {
  const { accountId } = await server.api("GET", "me");
  const product = (await server.api("POST", "products", { name: "Lamp", price: { amountMinor: "5000", currencyCode: "EUR" } })).data;
  const order = (await server.api("POST", "orders", { accountId, items: [{ productId: product.id, quantity: 2 }] })).data;
  return (await server.api("POST", "payments/charge", { orderId: order.id, paymentMethod: "pm_card_visa" })).data;
}

async function newTicket(server, subject) {
  const { accountId } = await server.api("GET", "me");
  return (await server.api("POST", "tickets", { accountId, subject, body: "As it is." })).data;
}

const deaths = Object.entries(DEATHS).flatMap(([instant, die]) => [
  {
    name: `a server that is killed ${instant} writes a comment once`,
    options: { ownServer: true, refused: [409, 502, 503] },
    run: async (page, server) => {
      page.mayLose = true;
      const { id } = await newTicket(server, `Killed ${instant}`);
      await go(page, `/tickets/${id}`);
      await settled(page);
      const text = page.getByLabel("New comment");
      const form = page.locator("form").filter({ has: text });
      await text.fill("Written once.");
      const send = () => page.getByRole("button", { name: "Comment" }).click();
      await die(page, server, `/tickets/${id}/comments`, send);
      // Its visibility is not checked: the lists are read after the response, and by then the server may be gone.
      const problem = form.getByText("The server does not answer");
      const answered = await Promise.race([
        problem.waitFor().then(() => false),
        becomes(() => text.inputValue(), "", "the text that was sent").then(() => true),
      ]);
      if (!answered) {
        await becomes(() => text.inputValue(), "Written once.", "what was entered");
        await sound(page, "a server that does not answer");
        await server.restart();
        await send();
        await problem.waitFor({ state: "hidden" });
      } else await server.restart();
      await page.locator(".thread").getByText("Written once.").waitFor({ timeout: TAKEN_OVER });
      same((await server.api("GET", `tickets/${id}/comments`)).data.length, 1, "comments");
      // The stream of changes is resumed automatically.
      await server.api("POST", `tickets/${id}/comments`, { body: "After the restart." });
      await page.locator(".thread").getByText("After the restart.").waitFor({ timeout: 60_000 });
    },
  },
  {
    name: `a server that is killed ${instant} gives money back once`,
    options: { ownServer: true, refused: [409, 502, 503] },
    run: async (page, server) => {
      page.mayLose = true;
      const payment = await paid(server);
      await go(page, `/payments/${payment.id}`);
      await page.getByRole("button", { name: "Refund …" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Amount in EUR").fill("30");
      const send = () => dialog.getByRole("button", { name: "Refund €30.00" }).click();
      await die(page, server, `/payments/${payment.id}/refunds`, send);
      const answered = await Promise.race([
        dialog.getByText("If you send it again, it is still refunded only once.").waitFor().then(() => false),
        dialog.waitFor({ state: "detached" }).then(() => true),
      ]);
      await server.restart();
      if (!answered) {
        await send();
        await dialog.waitFor({ state: "detached", timeout: TAKEN_OVER });
      }
      const state = async () => (await server.api("GET", `payments/${payment.id}`)).data.refunded?.amountMinor;
      await becomes(state, "3000", "what was refunded", { within: TAKEN_OVER });
      // Without a reload, because without Redis the browser sessions end with the process.
      await page.locator(".timeline").getByText("Refund of €30.00").waitFor();
      await becomes(() => page.locator(".timeline").getByText("Refund of €30.00").count(), 1, "refunds");
    },
  },
]);

/** Receives an event like one from a provider. */
async function receive(server, id, event) {
  const body = JSON.stringify(event);
  const at = Math.floor(Date.now() / 1000);
  const key = Buffer.from(WEBHOOK_SECRET.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${at}.${body}`).digest("base64");
  const headers = { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": `v1,${signature}` };
  const response = await fetch(`${server.origin}/webhooks/standard`, { method: "POST", headers, body });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
}

const REDRIVE = {
  name: "dead events are processed again, one or all",
  options: { ownServer: true },
  run: async (page, server) => {
    for (const number of [1, 2, 3]) await receive(server, `msg_${number}`, { type: "email.bounced", data: { to: `not a list ${number}` } });
    await go(page, "/queue");
    const dead = page.getByRole("region", { name: "Dead events" }).getByRole("row").filter({ hasText: "email.bounced" });
    await dead.nth(2).waitFor();
    await dead.first().getByRole("link", { name: "email.bounced" }).click();
    // As long as the cause exists, it dies again.
    await page.locator(".warning").waitFor();
    const press = async (name) => {
      await page.getByRole("button", { name }).click();
      await sound(page, name);
      await page.getByRole("dialog").getByRole("button", { name }).click();
      await page.getByRole("dialog").waitFor({ state: "detached" });
    };
    const first = page.url().split("/").pop();
    const version = async () => Number((await server.api("GET", `inbound-events/${first}`)).data.version);
    const before = await version();
    await press("Retry");
    await becomes(version, (now) => now >= before + 2, "the version of the event", { within: LONG_MS });
    await page.locator(".badge").getByText("Dead").first().waitFor();
    // An event that only a new version of the server could read.
    const good = JSON.stringify({ type: "email.bounced", data: { to: ["gone@example.com"], bounce: { type: "Permanent" } } });
    server.sql(`UPDATE inbound_events SET payload = convert_to('${good}', 'UTF8')`);
    await press("Retry");
    await page.locator(".badge").getByText("Processed").first().waitFor();
    await go(page, "/inbound-events?state=INBOUND_EVENT_STATE_DEAD");
    const rows = page.getByRole("row").filter({ hasText: "email.bounced" });
    await rows.nth(1).waitFor();
    await becomes(() => rows.count(), 2, "dead events");
    await press("Retry all dead events");
    await page.getByText("Nothing matches these filters.").waitFor();
    // They are redriven at once, and processed soon.
    await becomes(() => server.sql("SELECT count(*) FROM inbound_events WHERE state = 2"), "3", "processed events", { within: LONG_MS });
    same(server.sql("SELECT count(*) FROM inbound_events WHERE state <> 2"), "0", "others");
  },
};

const TICKETS = 100_000;
/** The maximum number of rows in the document, with a margin for a tall window. */
const MAX_ROWS = 80;

const MANY = {
  name: "a hundred thousand tickets scroll, and few of them are in the document",
  options: { ownServer: true },
  run: async (page, server) => {
    server.fillQueue("Many", "Row", TICKETS);
    await go(page, "/tickets?queue=Many");
    await page.getByText("10,000+ total").waitFor();
    await page.getByText("Row 1", { exact: true }).waitFor();
    const rows = page.locator("tr[data-index]");
    const row = (number) => page.getByRole("link", { name: new RegExp(`^Row ${number}( |$)`) });
    const bounded = async (where) => {
      const count = await rows.count();
      if (count > MAX_ROWS) throw new Error(`${where}, the document has ${count} rows`);
    };
    const scroll = async (to) => {
      await page.evaluate((to) => scrollTo(0, to === "end" ? document.documentElement.scrollHeight : to), to);
      await drawn(page);
    };
    const indexOf = async (row) => Number(await row.getAttribute("data-index"));
    await drawn(page);
    await bounded("at the top");
    await sound(page, "many tickets");
    // In steps, like a wheel: nothing is skipped, and nothing is repeated.
    const seen = new Map();
    await becomes(async () => {
      for (const [index, text] of await rows.evaluateAll((rows) => rows.map((row) => [Number(row.dataset.index), row.querySelector("a")?.textContent]))) {
        const number = Number(/^Row (\d+)/.exec(text ?? "")?.[1]);
        if (!Number.isNaN(number)) {
          same(number, index + 1, "the ticket in this row");
          seen.set(number, index);
        }
      }
      await bounded("on the way");
      await scrollBy(page, 500);
      return seen.has(250);
    }, true, "whether row 250 is reached", { within: LONG_MS });
    for (let number = 1; number <= 250; number++) if (!seen.has(number)) throw new Error(`row ${number} was left out`);
    // Far away at once, and beyond the numbered pages.
    await scroll(5000 * 64);
    await bounded("far down");
    await becomes(() => indexOf(rows.first()), (index) => index > 3000, "the first row far down");
    const last = () => rows.last().evaluate((row) => ({ number: Number(/^Row (\d+)/.exec(row.querySelector("a")?.textContent ?? "")?.[1]), index: Number(row.dataset.index) }));
    const { number, index } = await becomes(async () => {
      await scroll("end");
      return await last();
    }, ({ number }) => number > 10_200, "the last row", { within: LONG_MS });
    await bounded("behind the pages with numbers");
    same(number, index + 1, "the ticket in the last row");
    // By keyboard, from the top; the chosen row stays in view, and is still there after its page was opened.
    await scroll(0);
    const focused = (number) => page.waitForFunction((number) => new RegExp(`^Row ${number}( |$)`).test(document.activeElement?.textContent ?? ""), number);
    for (let number = 1; number <= 130; number++) {
      await page.keyboard.press("j");
      // Quick presses are not lost, but no more than ten are ahead of what is drawn.
      if (number % 10 === 0) await focused(number);
    }
    await row(130).waitFor();
    await page.keyboard.press("4");
    await page.getByText("Priority changed: Row 130").waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /^Row 130/ }).waitFor();
    await page.goBack();
    await row(130).waitFor();
    await page.locator("tr[data-current=true]").getByText(/^Row 130/).waitFor();
    await page.keyboard.press("j");
    await focused(131);
    await bounded("after all of it");
    // A change far below is loaded with its page; a change on a loaded page is counted.
    const far = server.sql("SELECT id FROM tickets WHERE subject LIKE 'Row 60001%'");
    await server.api("PATCH", `tickets/${far}?updateMask=priority`, { priority: "TICKET_PRIORITY_LOW" });
    const { accountId } = await server.api("GET", "me");
    await server.api("POST", "tickets", { accountId, subject: "Row 0", body: "A new one.", queue: "Many" });
    await page.getByRole("button", { name: "New or changed: 1. Show" }).click();
    await row(0).waitFor();
    await becomes(() => page.evaluate(() => scrollY), 0, "where the new ones are shown");
  },
};

/** Lets effects be looked up at once, as they could be a minute after their attempts. */
const LOOK_UP = "UPDATE effects SET lookup_at = now() WHERE lookup_at > now()";

/** Makes the jobs of a kind die, as they would in an hour or two, by skipping the waits between their attempts. */
async function die(server, kind, count) {
  const due = `UPDATE jobs SET attempts = max_attempts - 1, due_at = now() WHERE kind = '${kind}' AND lease IS NULL AND dead_at IS NULL AND last_error IS NOT NULL`;
  await becomes(() => {
    server.sql(`${LOOK_UP}; ${due}`);
    return server.sql(`SELECT count(*) FROM jobs WHERE kind = '${kind}' AND dead_at IS NOT NULL`);
  }, String(count), `dead jobs of ${kind}`, { within: LONG_MS });
}

const DEAD_JOBS = {
  name: "dead jobs run again, one or all",
  options: { ownServer: true },
  run: async (page, server) => {
    // The vehicles of the example can't be recharged, as if the database lacked something.
    server.sql(`
      CREATE FUNCTION fleet.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the charging station is on fire'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON fleet.vehicles FOR EACH ROW WHEN (OLD.status = 3) EXECUTE FUNCTION fleet.refuse();`);
    const { accountId } = await server.api("GET", "me");
    for (const plate of ["B-AT 1", "B-AT 2", "B-AT 3"]) {
      const vehicle = (await server.api("POST", "vehicles", { plate, model: "Cargo bike" })).data;
      const lease = (await server.api("POST", "leases", { vehicleId: vehicle.id, accountId })).data;
      await server.api("POST", `leases/${lease.id}/end`, {});
    }
    const available = async () => (await server.api("GET", "vehicles?status=VEHICLE_STATUS_AVAILABLE")).data.length;
    await die(server, "fleet.recharge", 3);
    await go(page, "/queue");
    const region = page.getByRole("region", { name: "Dead jobs" });
    const dead = region.getByRole("row").filter({ hasText: "fleet.recharge" });
    await dead.nth(2).waitFor();
    await dead.first().locator(".text").filter({ hasText: "the charging station is on fire" }).waitFor();
    await sound(page, "dead jobs");
    // As long as the cause exists, it dies again.
    const oldest = dead.last();
    const label = await oldest.getByRole("button").getAttribute("aria-label");
    await oldest.getByRole("button").click();
    await page.getByText("Jobs to retry: 1").waitFor();
    await page.getByRole("button", { name: label }).waitFor({ state: "detached" });
    await die(server, "fleet.recharge", 3);
    await page.getByRole("button", { name: label }).waitFor();
    same(await available(), 0, "vehicles that can be leased");
    server.sql(`DROP FUNCTION fleet.refuse CASCADE; ${LOOK_UP}`);
    await page.getByRole("button", { name: label }).press("Enter");
    await becomes(available, 1, "vehicles that can be leased", { within: LONG_MS });
    await page.getByRole("button", { name: label }).waitFor({ state: "detached" });
    await becomes(() => dead.count(), 2, "dead jobs");
    // The focus continues with the next item, and at the end with the heading.
    await page.waitForFunction(() => document.activeElement?.getAttribute("aria-label")?.startsWith("Retry: fleet.recharge"));
    await page.getByRole("button", { name: "Retry all 2" }).press("Enter");
    await page.getByText("Jobs to retry: 2").waitFor();
    await page.getByText("No dead jobs.").waitFor();
    await page.waitForFunction(() => document.activeElement?.matches("h2") && document.activeElement.textContent === "Dead jobs");
    await becomes(available, 3, "vehicles that can be leased", { within: LONG_MS });
    await becomes(() => server.sql("SELECT count(*) FROM jobs WHERE kind = 'fleet.recharge'"), "0", "jobs that are left");
  },
};

export const RESTARTS = [...deaths, REDRIVE, MANY, DEAD_JOBS];
