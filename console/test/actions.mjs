// What people do all day.

import { readFileSync } from "node:fs";

import { go, settled, signIn, sound } from "./browser.mjs";
import { send } from "./fixture.mjs";

/** A PNG of one pixel. */
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

function same(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${actual} and not ${expected}`);
}

export function actions({ token, tickets, me, payment, draft, endpoint }) {
  const ticket = async (id) => (await send("GET", `tickets/${id}`, undefined, token)).data;
  const create = async (subject) => (await send("POST", "tickets", { accountId: me.accountId, subject, body: "As it is." }, token)).data;
  return [
    {
      name: "a session survives a reload and ends with the sign-out",
      run: async (page) => {
        await go(page, "/tickets");
        await settled(page);
        same(await page.evaluate(() => document.cookie), "", "what scripts see of the cookie");
        same(await page.evaluate(() => JSON.stringify(localStorage).includes("ey")), false, "a token in the storage");
        await page.click(".avatar");
        await page.getByRole("button", { name: "Sign out" }).click();
        await page.waitForSelector(".sign-in");
        await page.reload();
        await page.waitForSelector(".sign-in");
      },
    },
    {
      name: "a ticket is created, commented, resolved and reopened",
      run: async (page) => {
        await go(page, "/tickets");
        await page.getByRole("button", { name: "New ticket" }).click();
        await page.getByLabel("Subject").fill("The lift is stuck");
        await page.getByLabel("Body").fill("Between the second and the third floor.");
        await sound(page, "the form of a ticket");
        await page.getByRole("dialog").getByRole("button", { name: "New ticket" }).click();
        await page.getByRole("heading", { name: "The lift is stuck" }).waitFor();
        await page.getByLabel("New comment").fill("Help is on its way.");
        await page.getByRole("button", { name: "Comment" }).click();
        await page.locator(".thread").getByText("Help is on its way.").waitFor();
        for (const label of ["Customer", "Requester"]) await page.locator(".fields > div", { hasText: label }).getByRole("link", { name: me.name }).waitFor();
        await page.getByRole("button", { name: "Resolve" }).click();
        await page.getByRole("button", { name: "Reopen" }).waitFor();
        // What the server would refuse is not offered.
        same(await page.getByLabel("Assignee").isDisabled(), true, "whether a resolved ticket keeps its assignee");
        same(await page.getByRole("button", { name: "Assign to me" }).count(), 0, "ways to assign it");
        await page.getByRole("button", { name: "Undo" }).click();
        await page.getByRole("button", { name: "Resolve" }).waitFor();
        await page.locator(".timeline").getByText("Reopened").waitFor();
      },
    },
    {
      name: "a ticket is created for a customer on their page",
      run: async (page) => {
        await go(page, `/customers/${me.accountId}`);
        await page.getByRole("button", { name: "New ticket" }).click();
        await page.waitForFunction(() => document.activeElement?.labels?.[0]?.textContent.startsWith("Subject"));
        await page.keyboard.type("Said on the phone");
        await page.getByLabel("Body").fill("They call again on Monday.");
        await page.getByText("The priority; Medium if absent.").waitFor();
        await page.getByRole("dialog").getByRole("button", { name: "New ticket" }).click();
        await page.getByRole("heading", { name: "Said on the phone" }).waitFor();
        same((await ticket(new URL(page.url()).pathname.split("/").pop())).accountId, me.accountId, "the customer");
        await go(page, "/orders");
        const { number } = (await send("GET", `orders/${payment.orderId}`, undefined, token)).data;
        await page.getByRole("link", { name: number }).click();
        await page.getByRole("heading", { name: `Order ${number}` }).waitFor();
      },
    },
    {
      name: "files are attached to a ticket and a comment, downloaded and removed",
      run: async (page) => {
        const { id } = await create("With papers");
        await go(page, `/tickets/${id}`);
        const pick = (index, name, text) => page.locator("input[type=file]").nth(index).setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
        await pick(1, "bill.txt", "Twelve euros.");
        await page.locator(".attach").getByText("bill.txt").waitFor();
        await page.getByLabel("New comment").fill("Here is the bill.");
        await page.getByRole("button", { name: "Comment" }).click();
        await page.locator(".thread").getByText("bill.txt").waitFor();
        await pick(0, "contract.txt", "Signed by both.");
        await page.getByText("contract.txt").waitFor();
        same((await ticket(id)).attachmentIds.length, 1, "files of the ticket");
        await sound(page, "a ticket with files");
        const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "bill.txt" }).click()]);
        same(saved.suggestedFilename(), "bill.txt", "the name of the download");
        same(readFileSync(await saved.path(), "utf8"), "Twelve euros.", "the download");
        const changed = page.waitForResponse((response) => response.request().method() === "PATCH");
        await page.getByRole("button", { name: "Remove contract.txt" }).click();
        await page.getByText("contract.txt").waitFor({ state: "hidden" });
        await changed;
        same((await ticket(id)).attachmentIds.length, 0, "files of the ticket");
      },
    },
    {
      name: "tickets are triaged by keyboard alone",
      run: async (page) => {
        const fresh = await create("Triage me by keyboard");
        await go(page, "/tickets?query=Triage%20me");
        await page.getByText("Triage me by keyboard").waitFor();
        await settled(page);
        await page.keyboard.press("j");
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { name: "Triage me by keyboard" }).waitFor();
        // The same keys decide on its page, but not in a field.
        for (const [key, changes] of [["3", 1], ["1", 2]]) {
          await page.keyboard.press(key);
          await page.locator(".timeline").getByText("Updated").nth(changes - 1).waitFor();
        }
        await page.getByLabel("New comment").press("2");
        same((await ticket(fresh.id)).priority, "TICKET_PRIORITY_LOW", "the priority");
        await page.goBack();
        await page.waitForFunction(() => document.activeElement?.textContent === "Triage me by keyboard");
        // Who asks is told by name, also of what has just changed.
        const asks = page.getByRole("row").filter({ hasText: "Triage me by keyboard" }).getByText(`${me.name} · `);
        await asks.waitFor();
        const changed = page.waitForResponse((response) => response.request().method() === "PATCH");
        await page.keyboard.press("4");
        await changed;
        same((await ticket(fresh.id)).priority, "TICKET_PRIORITY_URGENT", "the priority");
        await asks.waitFor();
        await page.keyboard.press("a");
        await page.getByText("Yours now: Triage me by keyboard").waitFor();
        await page.keyboard.press("e");
        await page.getByText("Resolved: Triage me by keyboard").waitFor();
        same((await ticket(fresh.id)).status, "TICKET_STATUS_RESOLVED", "the status");
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { name: "Triage me by keyboard" }).waitFor();
        await page.keyboard.press("Control+k");
        await page.getByRole("searchbox", { name: "Go to …" }).fill("produ");
        await sound(page, "the command palette");
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { name: "Products" }).waitFor();
      },
    },
    {
      name: "quick keys on one ticket wait for each other on a slow network",
      run: async (page) => {
        const fresh = await create("Quick keys");
        for (const path of ["**/tickets/*?updateMask=*", "**/tickets/*/assign", "**/tickets/*/resolve"]) {
          await page.route(path, async (route) => {
            await new Promise((done) => setTimeout(done, 300));
            await route.continue();
          });
        }
        await go(page, "/tickets?query=Quick%20keys");
        await page.getByText("Quick keys").waitFor();
        await settled(page);
        for (const key of ["j", "4", "a", "e"]) await page.keyboard.press(key);
        await page.getByText("Resolved: Quick keys").waitFor();
        const { status, priority, assigneeId } = await ticket(fresh.id);
        same([status, priority, assigneeId].join(" "), `TICKET_STATUS_RESOLVED TICKET_PRIORITY_URGENT ${me.id}`, "the ticket");
      },
    },
    {
      name: "a view of the tickets is saved, survives a reload, and is removed",
      run: async (page) => {
        await go(page, "/tickets");
        const views = page.getByRole("navigation", { name: "Views" });
        await views.getByRole("link", { name: "Mine" }).click();
        same(await views.locator("[aria-current]").textContent(), "Mine", "the view that is shown");
        await page.getByLabel("Queue").selectOption({ index: 1 });
        await page.getByRole("button", { name: "Save view" }).click();
        await page.getByLabel("Name").fill("My queue");
        await sound(page, "the name of a view");
        await page.getByRole("dialog").getByRole("button", { name: "Save view" }).click();
        same(await views.locator("[aria-current]").textContent(), "My queue", "the view that was saved");
        const address = new URL(page.url()).search;
        await views.getByRole("link", { name: "All" }).click();
        await page.waitForFunction(() => location.search === "");
        await page.reload();
        await views.getByRole("link", { name: "My queue" }).click();
        await page.waitForFunction((wanted) => location.search === wanted, address);
        await page.getByRole("button", { name: "Remove view" }).click();
        await views.getByRole("link", { name: "My queue" }).waitFor({ state: "detached" });
      },
    },
    {
      name: "the focus goes on next to what is gone",
      run: async (page) => {
        const focused = (role, name) => page.waitForFunction(([role, name]) => {
          const { localName, textContent, labels } = document.activeElement;
          return localName === role && (labels?.[0]?.textContent || textContent).trim() === name;
        }, [role, name]);
        const press = async (button) => {
          await button.focus();
          await page.keyboard.press("Enter");
        };
        const { id } = await create("Focus on one");
        await create("Focus on two");
        // A button that works is disabled, and another one stands there then.
        await go(page, `/tickets/${id}`);
        await press(page.getByRole("button", { name: "Resolve" }));
        await page.getByRole("button", { name: "Reopen" }).waitFor();
        await focused("button", "Reopen");
        await press(page.getByRole("button", { name: "Reopen" }));
        await focused("button", "Resolve");
        await press(page.getByRole("button", { name: "Assign to me" }));
        await page.getByRole("button", { name: "Assign to me" }).waitFor({ state: "detached" });
        await focused("button", "Resolve");
        await go(page, "/tickets?query=Focus");
        await page.getByText("2 in all").waitFor();
        // By way of a dialog.
        await press(page.getByRole("button", { name: "Save view" }));
        await page.getByLabel("Name").fill("Focussed");
        await page.keyboard.press("Enter");
        await focused("a", "Focussed");
        await press(page.getByRole("button", { name: "Remove view" }));
        await focused("a", "Mine");
        await page.getByLabel("Select all").check();
        await press(page.getByRole("button", { name: "Resolve" }));
        await press(page.getByRole("dialog").getByRole("button", { name: "Resolve" }));
        await page.getByText("Tickets changed: 2").waitFor();
        await focused("input", "Select all");
      },
    },
    {
      name: "several tickets are resolved at once",
      run: async (page) => {
        for (const number of [1, 2, 3]) await create(`Bulk of three, ${number}`);
        await go(page, "/tickets?query=Bulk%20of%20three");
        await page.getByText("3 in all").waitFor();
        await page.getByLabel("Select all").check();
        await page.getByRole("button", { name: "Resolve" }).click();
        await sound(page, "the question");
        await page.getByRole("dialog").getByRole("button", { name: "Resolve" }).click();
        await page.getByText("Tickets changed: 3").waitFor();
        await go(page, "/tickets?query=Bulk%20of%20three&status=unresolved");
        await page.getByText("No ticket matches.").waitFor();
      },
    },
    {
      name: "two agents on one ticket: both changes are kept, and what collides is asked",
      options: { refused: [412] },
      run: async (page) => {
        const { id, version } = await create("Two agents");
        await go(page, `/tickets/${id}`);
        await page.getByRole("button", { name: "Edit", exact: true }).click();
        await page.getByLabel("Subject").fill("Two agents, says one");
        await page.getByLabel("Queue").fill("Second Line");
        await send("PATCH", `tickets/${id}?updateMask=subject,priority`, { subject: "Two agents, says the other", priority: "TICKET_PRIORITY_HIGH" }, token, { "if-match": `"${version}"` });
        await page.getByRole("button", { name: "Save" }).click();
        await page.getByRole("heading", { name: "Somebody else changed this first" }).waitFor();
        await sound(page, "the merge");
        await page.getByRole("radio", { name: "Two agents, says one" }).check();
        await page.getByRole("button", { name: "Save both" }).click();
        await page.getByText("Saved").waitFor();
        await page.getByRole("heading", { name: "Two agents, says one" }).waitFor();
        const merged = await ticket(id);
        same(merged.queue, "Second Line", "my queue");
        same(merged.priority, "TICKET_PRIORITY_HIGH", "their priority");
      },
    },
    {
      name: "what others do shows without a reload, and moves no row under the hand",
      run: async (page) => {
        const mine = await create("Live, mine");
        await go(page, "/tickets?query=Live");
        await page.getByText("Live, mine").waitFor();
        await settled(page);
        await page.keyboard.press("j");
        const changed = await send("PATCH", `tickets/${mine.id}?updateMask=priority`, { priority: "TICKET_PRIORITY_URGENT" }, token, { "if-match": `"${mine.version}"` });
        await page.locator("tr", { hasText: "Live, mine" }).getByText("Urgent").last().waitFor();
        await create("What the filters leave out");
        await create("Live, another");
        await page.getByRole("button", { name: "New or changed: 1. Show" }).waitFor();
        same(await page.getByText("Live, another").count(), 0, "a row that was not asked for");
        await page.keyboard.press("2");
        await page.getByText("Priority changed: Live, mine").waitFor();
        same((await ticket(mine.id)).version, String(BigInt(changed.data.version) + 1n), "the version");
        await page.getByRole("button", { name: /^New or changed: / }).click();
        await page.getByText("Live, another").waitFor();
        await go(page, `/tickets/${mine.id}`);
        await page.getByRole("heading", { name: "Live, mine" }).waitFor();
        await send("POST", `tickets/${mine.id}/comments`, { body: "Said elsewhere." }, token);
        await page.locator(".thread").getByText("Said elsewhere.").waitFor();
      },
    },
    {
      name: "a ticket is deleted only by its name",
      run: async (page) => {
        const { id } = await create("Delete me");
        await go(page, `/tickets/${id}`);
        await page.getByRole("button", { name: "Delete", exact: true }).click();
        const dialog = page.getByRole("dialog");
        same(await dialog.getByRole("button", { name: "Delete" }).isDisabled(), true, "without the name");
        await dialog.getByLabel("Type Delete me to confirm").fill("Delete me");
        await dialog.getByRole("button", { name: "Delete" }).click();
        await page.getByText("Deleted: Delete me").waitFor();
      },
    },
    {
      name: "a post is written, looked at and published",
      run: async (page) => {
        await go(page, `/posts/${draft.id}`);
        await page.getByLabel("Markdown").fill("# Invoices\n\nWith a *new* line. <script>alert(1)</script>");
        await page.getByText("Save to see your changes here.").waitFor();
        await page.getByRole("button", { name: "Save" }).click();
        await page.locator(".prose em").getByText("new").waitFor();
        await page.getByRole("button", { name: "Publish" }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Publish" }).click();
        await page.getByRole("button", { name: "Unpublish" }).waitFor();
      },
    },
    {
      name: "a test event that cannot be delivered says why",
      options: { refused: [502, 504] },
      run: async (page) => {
        await go(page, `/webhooks/${endpoint.id}`);
        await page.getByRole("button", { name: "Send a test event" }).click();
        await page.getByRole("alert").getByText("It failed at another server").waitFor();
        await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
        await page.getByRole("alert").getByRole("button", { name: "Copy" }).click();
        await page.getByText("Copied").waitFor();
        same(await page.evaluate(() => navigator.clipboard.readText()), await page.getByRole("alert").locator("code").textContent(), "what was copied");
      },
    },
    {
      name: "the secret of a new key is shown once",
      run: async (page) => {
        await go(page, "/service-keys");
        await page.getByRole("button", { name: "Create service key" }).click();
        await page.getByLabel("Name").fill("From the console");
        await page.getByLabel("Scopes").fill("support.tickets.read");
        await page.getByRole("dialog").getByRole("button", { name: "Create service key" }).click();
        await page.locator("code.secret").waitFor();
        await sound(page, "the secret");
        await page.getByRole("button", { name: "I have kept it" }).click();
        const row = page.getByRole("row").filter({ hasText: "From the console" });
        await row.getByRole("button", { name: "Revoke" }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
        await row.getByText("Revoked").waitFor();
      },
    },
    {
      name: "an image is put into a post",
      run: async (page) => {
        const { data } = await send("POST", "posts", { title: "With a picture", body: "Before." }, token);
        await go(page, `/posts/${data.id}`);
        await page.getByLabel("Markdown").press("Control+End");
        await page.locator("input[type=file]").setInputFiles({ name: "pixel.png", mimeType: "image/png", buffer: Buffer.from(PIXEL, "base64") });
        await page.waitForFunction(() => /^Before\.!\[pixel\]\(\/images\/[0-9a-f-]{36}\)$/.test(document.querySelector(".markdown").value));
        await page.getByRole("button", { name: "Save" }).click();
        await page.getByText("Saved").waitFor();
        // Readers do not get it yet, but its author sees it.
        const image = page.locator(".prose").getByRole("img", { name: "pixel" });
        await image.waitFor();
        await page.waitForFunction(() => document.querySelector(".prose img").naturalWidth === 1);
        await page.getByRole("button", { name: "Publish" }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Publish" }).click();
        await page.getByRole("button", { name: "Unpublish" }).waitFor();
        await page.waitForFunction(() => document.querySelector(".prose img").naturalWidth === 1 && /^\/images\//.test(document.querySelector(".prose img").getAttribute("src")));
        await page.getByRole("button", { name: "Unpublish" }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Unpublish" }).click();
        await page.getByRole("button", { name: "Publish", exact: true }).waitFor();
        await page.waitForFunction(() => document.querySelector(".prose img").naturalWidth === 1 && /signature=/.test(document.querySelector(".prose img").getAttribute("src")));
      },
    },
    {
      name: "revenue is drawn and listed by day, week and month",
      run: async (page) => {
        await go(page, "/");
        const period = page.getByRole("slider", { name: "Revenue" });
        await period.waitFor();
        await page.getByRole("link", { name: "By month" }).click();
        await page.waitForURL(/by=month/);
        await page.getByText("The 12 months before", { exact: true }).first().waitFor();
        await period.focus();
        const last = await page.locator(".readout").textContent();
        await page.keyboard.press("ArrowLeft");
        const before = await page.locator(".readout").textContent();
        same(before === last, false, "the period is another one");
        same(await period.getAttribute("aria-valuetext"), before, "what is read out");
        await page.getByText("As a table").click();
        same(await page.getByRole("region", { name: "Revenue" }).getByRole("rowheader").count(), 12, "months");
        await sound(page, "revenue as a table");
      },
    },
    {
      name: "the log is filtered, paged, and read line by line",
      run: async (page) => {
        for (let number = 0; number < 60; number++) await send("GET", "me", undefined, token);
        await go(page, "/logs?method=UserService.GetMe");
        const rows = page.getByRole("row").filter({ hasText: "UserService.GetMe" });
        const older = page.getByRole("button", { name: "Older lines" });
        // What was just logged takes a moment to get there.
        while (!(await older.isVisible())) {
          await page.getByRole("button", { name: "Refresh" }).click();
          await settled(page);
        }
        await older.click();
        await rows.nth(50).waitFor();
        await rows.first().getByRole("button").click();
        await page.getByRole("dialog").getByText('"level": "INFO"').waitFor();
        await sound(page, "a line of the log");
        await page.getByRole("link", { name: "All lines of this request" }).click();
        await page.waitForURL(/requestId=/);
        await page.getByRole("link", { name: "Clear filters" }).click();
        await page.getByLabel("At least as severe as").selectOption({ label: "Error" });
        await page.waitForURL(/level=SYSTEM_LOG_LEVEL_ERROR/);
        await page.getByLabel("User or service id").fill("nobody");
        await page.getByRole("alert").getByText("This was not accepted").waitFor();
      },
      options: { refused: [400, 422] },
    },
    {
      name: "the log is followed as it is written",
      run: async (page) => {
        await go(page, "/logs?method=PostService.GetPostBySlug");
        await page.getByText("No line matches.").waitFor();
        await page.getByRole("button", { name: "Follow" }).click();
        await page.getByRole("button", { name: "Following" }).waitFor();
        await send("GET", "post-slugs/no-such-post", undefined, token).catch(() => undefined);
        await page.locator("tbody tr").first().waitFor({ timeout: 10_000 });
        await sound(page, "the log that is followed");
        await page.getByRole("button", { name: "Following" }).click();
        await page.getByRole("button", { name: "Follow", exact: true }).waitFor();
      },
    },
    {
      name: "what waits in the background is told",
      run: async (page) => {
        await go(page, "/queue");
        await page.getByRole("region", { name: "Lanes" }).getByText("webhooks").waitFor();
        await page.getByRole("region", { name: "Lanes" }).getByText("shared").waitFor();
        await page.getByRole("heading", { name: "Dead events" }).waitFor();
      },
    },
    {
      name: "settings are found, with their source and without secrets",
      run: async (page) => {
        await go(page, "/settings");
        await page.getByLabel("Search").fill("listen_addr");
        const row = page.getByRole("row").filter({ hasText: "METRICS_LISTEN_ADDR" });
        await row.locator(".badge").getByText("Environment").waitFor();
        await page.getByLabel("Source").selectOption({ label: "Default" });
        await row.waitFor({ state: "hidden" });
      },
    },
    {
      name: "a payment is refunded in part, once, and its timeline tells",
      run: async (page) => {
        await go(page, `/payments/${payment.id}`);
        await page.getByRole("button", { name: "Refund …" }).click();
        const dialog = page.getByRole("dialog");
        await dialog.getByLabel("Amount in EUR").fill("9000");
        same(await dialog.getByRole("button", { name: "Refund" }).isDisabled(), true, "more than was paid");
        const amount = dialog.getByLabel("Amount in EUR");
        for (const bad of ["", "0", "-1", "1.005", "1e2", "1,000.00", "1.2.3", "abc"]) {
          await amount.fill(bad);
          same(await dialog.getByRole("button", { name: "Refund", exact: true }).isDisabled(), true, `what “${bad}” is`);
        }
        for (const [text, read] of [["007", "€7.00"], [" 12. ", "€12.00"], ["0,5", "€0.50"], ["3.07", "€3.07"], ["100,50", "€100.50"]]) {
          await amount.fill(text);
          await dialog.getByRole("button", { name: `Refund ${read}`, exact: true }).waitFor();
        }
        await sound(page, "the form of a refund");
        await dialog.getByRole("button", { name: "Refund €100.50" }).click();
        await page.locator(".timeline").getByText("Refund of €100.50").waitFor();
        same((await send("GET", `payments/${payment.id}`, undefined, token)).data.refunded.amountMinor, "10050", "what was refunded");
      },
    },
    {
      name: "a module without a page of its own is listed, created and changed",
      run: async (page) => {
        await go(page, "/");
        await page.getByRole("navigation", { name: "Navigation" }).getByRole("link", { name: "Vehicles" }).click();
        await page.getByRole("button", { name: "Create vehicle" }).click();
        await sound(page, "the form of a vehicle");
        await page.getByRole("dialog").getByRole("button", { name: "Create vehicle" }).waitFor();
        await go(page, "/s/ProductService");
        await page.getByRole("button", { name: "Create product" }).click();
        await page.getByLabel("Name").fill("Folding chair");
        await page.getByLabel("Amount").fill("49.00");
        await page.getByLabel("Currency").fill("eur");
        await sound(page, "an amount");
        await page.getByRole("dialog").getByRole("button", { name: "Create product" }).click();
        await page.getByRole("link", { name: "Folding chair" }).click();
        await page.getByRole("button", { name: "Edit" }).click();
        same(await page.getByLabel("Amount").inputValue(), "49.00", "the price that is to be changed");
        await page.getByLabel("Amount").fill("52,5");
        await page.getByLabel("Name").fill("Folding chair, oak");
        await page.getByRole("dialog").getByRole("button", { name: "Edit" }).click();
        await page.getByRole("heading", { name: "Folding chair, oak" }).waitFor();
        await page.getByText("€52.50").waitFor();
        // A currency without decimals.
        await go(page, "/s/ProductService");
        await page.getByRole("button", { name: "Create product" }).click();
        await page.getByLabel("Name").fill("Stool");
        await page.getByLabel("Currency").fill("jpy");
        await page.getByLabel("Amount").fill("4900");
        await page.getByRole("dialog").getByRole("button", { name: "Create product" }).click();
        await page.getByRole("row").filter({ hasText: "Stool" }).getByText(/¥4,900$/).waitFor();
      },
    },
    {
      name: "a wrong password is told, and the address that was asked for comes after the sign-in",
      options: { signedIn: false },
      run: async (page) => {
        await go(page, `/tickets/${tickets[1].id}`);
        await page.fill("[name=email]", "nobody@example.com");
        await page.fill("[name=password]", "wrong");
        await page.click("button[type=submit]");
        await page.getByText("The address or the password is wrong.").waitFor();
        await signIn(page, undefined, undefined, `/tickets/${tickets[1].id}`);
        await page.getByRole("heading", { name: tickets[1].subject }).waitFor();
      },
    },
  ];
}
