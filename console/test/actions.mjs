// What people do all day.

import { go, settled, signIn, sound } from "./browser.mjs";
import { send } from "./fixture.mjs";

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
        await page.getByRole("button", { name: "Resolve" }).click();
        await page.getByRole("button", { name: "Reopen" }).waitFor();
        await page.getByRole("button", { name: "Undo" }).click();
        await page.getByRole("button", { name: "Resolve" }).waitFor();
        await page.locator(".timeline").getByText("Reopened").waitFor();
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
        await page.keyboard.press("4");
        await page.getByText("Priority changed: Triage me by keyboard").waitFor();
        same((await ticket(fresh.id)).priority, "TICKET_PRIORITY_URGENT", "the priority");
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
      name: "several tickets are resolved at once",
      run: async (page) => {
        for (const number of [1, 2, 3]) await create(`Bulk of three, ${number}`);
        await go(page, "/tickets?query=Bulk%20of%20three");
        await page.getByText("3 in all").waitFor();
        await page.getByLabel("Select all").check();
        await page.getByRole("button", { name: "Resolve" }).click();
        await sound(page, "the question");
        await page.getByRole("dialog").getByRole("button", { name: "Resolve" }).click();
        await page.getByText("3 tickets changed").waitFor();
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
        await page.getByRole("alert").getByText("Request").waitFor();
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
      name: "a payment is refunded in part, once, and its timeline tells",
      run: async (page) => {
        await go(page, `/payments/${payment.id}`);
        await page.getByRole("button", { name: "Refund …" }).click();
        const dialog = page.getByRole("dialog");
        await dialog.getByLabel("Amount in EUR").fill("9000");
        same(await dialog.getByRole("button", { name: "Refund" }).isDisabled(), true, "more than was paid");
        await dialog.getByLabel("Amount in EUR").fill("100,50");
        await sound(page, "the form of a refund");
        await dialog.getByRole("button", { name: "Refund €100.50" }).click();
        await page.locator(".timeline").getByText("Refund of €100.50").waitFor();
        same((await send("GET", `payments/${payment.id}`, undefined, token)).data.refundedMinor, "10050", "what was refunded");
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
        await page.getByLabel("Price minor").fill("4900");
        await page.getByLabel("Currency code").fill("EUR");
        await page.getByRole("dialog").getByRole("button", { name: "Create product" }).click();
        await page.getByRole("link", { name: "Folding chair" }).click();
        await page.getByRole("button", { name: "Edit" }).click();
        await page.getByLabel("Name").fill("Folding chair, oak");
        await page.getByRole("dialog").getByRole("button", { name: "Edit" }).click();
        await page.getByRole("heading", { name: "Folding chair, oak" }).waitFor();
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
