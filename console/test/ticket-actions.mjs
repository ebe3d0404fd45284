// Actions on tickets.

import { readFileSync } from "node:fs";

import { go, same, settled, sound, twoPages } from "./browser.mjs";
import { send } from "./fixture.mjs";
import { becomes } from "./wait.mjs";

export function ticketActions({ token, me, payment }) {
  const ticket = async (id) => (await send("GET", `tickets/${id}`, undefined, token)).data;
  const create = async (subject) => (await send("POST", "tickets", { accountId: me.accountId, subject, body: "As it is." }, token)).data;
  return [
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
        // Actions that the server would reject are not offered.
        await becomes(() => page.getByLabel("Assignee").isDisabled(), true, "whether a resolved ticket keeps its assignee");
        await becomes(() => page.getByRole("button", { name: "Assign to me" }).count(), 0, "ways to assign it");
        await page.getByRole("button", { name: "Undo" }).click();
        await page.getByRole("button", { name: "Resolve" }).waitFor();
        await page.locator(".timeline").getByText("Reopened").waitFor();
      },
    },
    {
      name: "a ticket shows its comments and its history from all pages",
      run: async (page) => {
        const { id } = await create("Much to say");
        const comment = (body) => ({ id: crypto.randomUUID(), ticketId: id, authorRole: "ROLE_CUSTOMER", body, createTime: "2026-11-21T06:01:15Z", attachmentIds: [] });
        const activity = (kind) => ({ id: crypto.randomUUID(), ticketId: id, actorRole: "ROLE_AGENT", kind, createTime: "2026-11-21T06:01:15Z" });
        await page.route("**/comments?*", twoPages(comment("On the first page."), comment("On the second page.")));
        await page.route("**/activities?*", twoPages(activity("ACTIVITY_KIND_CREATED"), activity("ACTIVITY_KIND_RESOLVED")));
        await go(page, `/tickets/${id}`);
        for (const text of ["On the first page.", "On the second page."]) await page.locator(".thread").getByText(text).waitFor();
        for (const text of ["Created", "Resolved"]) await page.locator(".timeline").getByText(text).waitFor();
      },
    },
    {
      name: "a ticket gets a canned answer and a note, is linked, and merged",
      run: async (page) => {
        const [one, other] = [await create("The pump leaks"), await create("Water in the cellar")];
        await go(page, `/tickets/${one.id}`);
        await page.getByLabel("Canned answers").selectOption({ label: "Ask for the invoice number" });
        await becomes(() => page.getByLabel("New comment").inputValue(), `Dear ${me.name}, which invoice is it? ${me.name}`, "the text of the canned answer");
        await page.getByLabel("New comment").fill("They have not paid.");
        await page.getByLabel("Internal").check();
        await sound(page, "the form of a note");
        await page.getByRole("button", { name: "Add note" }).click();
        await page.locator(".thread .note").getByText("They have not paid.").waitFor();
        await page.locator(".timeline").getByText("Note added").waitFor();
        await page.getByRole("button", { name: "Link a ticket" }).click();
        await page.getByLabel("Other ticket", { exact: true }).selectOption(other.id);
        await sound(page, "the form of a link");
        await page.getByRole("dialog").getByRole("button", { name: "Link", exact: true }).click();
        await page.locator(".linked").getByRole("link", { name: "Water in the cellar" }).waitFor();
        await page.getByRole("button", { name: "Merge …" }).click();
        await page.getByLabel("Search the tickets of this customer").fill("cellar");
        await page.getByLabel("Other ticket", { exact: true }).selectOption(other.id);
        await sound(page, "the form of a merge");
        await page.getByRole("dialog").getByRole("button", { name: "Merge", exact: true }).click();
        await page.getByText("This ticket was merged into another one.").waitFor();
        await becomes(() => page.getByRole("button", { name: "Reopen" }).count(), 0, "ways to reopen a merged ticket");
        await becomes(async () => (await ticket(one.id)).mergedIntoId, other.id, "the ticket that it was merged into");
        await page.getByRole("link", { name: "Go to that ticket" }).click();
        await page.getByRole("heading", { name: "Water in the cellar" }).waitFor();
        await page.locator(".timeline").getByText("Merged").waitFor();
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
        await page.waitForURL(/\/tickets\/[0-9a-f-]{36}$/);
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
        await becomes(async () => (await ticket(id)).attachmentIds.length, 1, "files of the ticket");
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
        const focusOn = (text) => page.waitForFunction((text) => document.activeElement?.textContent === text, text);
        await go(page, "/tickets?query=Triage%20me");
        await page.getByText("Triage me by keyboard").waitFor();
        await settled(page);
        await page.keyboard.press("j");
        await focusOn("Triage me by keyboard");
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { name: "Triage me by keyboard" }).waitFor();
        // The same shortcuts work on its page, but not in a field.
        for (const [key, changes] of [["3", 1], ["1", 2]]) {
          await page.keyboard.press(key);
          await page.locator(".timeline").getByText("Updated").nth(changes - 1).waitFor();
        }
        await page.getByLabel("New comment").press("2");
        same((await ticket(fresh.id)).priority, "TICKET_PRIORITY_LOW", "the priority");
        await page.goBack();
        await focusOn("Triage me by keyboard");
        // Requesters are shown by name, also those of recent changes.
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
        await becomes(() => views.locator("[aria-current]").allTextContents().then(String), "Mine", "the view that is shown");
        await page.getByLabel("Queue").selectOption({ index: 1 });
        await page.getByRole("button", { name: "Save view" }).click();
        await page.getByRole("textbox", { name: "Name" }).fill("My queue");
        await sound(page, "the name of a view");
        await page.getByRole("dialog").getByRole("button", { name: "Save view" }).click();
        await becomes(() => views.locator("[aria-current]").allTextContents().then(String), "My queue", "the view that was saved");
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
          const { localName, textContent, labels, disabled } = document.activeElement;
          // A button that is disabled while it works keeps the focus until the next frame.
          return localName === role && !disabled && (labels?.[0]?.textContent || textContent).trim() === name;
        }, [role, name]);
        const press = async (button) => {
          await button.and(page.locator(":enabled")).focus();
          await page.keyboard.press("Enter");
        };
        const { id } = await create("Focus on one");
        await create("Focus on two");
        // A working button is disabled, and another one is in its place then.
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
        await page.getByText("2 total").waitFor();
        // Through a dialog.
        await press(page.getByRole("button", { name: "Save view" }));
        await page.getByRole("textbox", { name: "Name" }).fill("Focussed");
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
        await page.getByText("3 total").waitFor();
        await page.getByLabel("Select all").check();
        await page.getByRole("button", { name: "Resolve" }).click();
        // The server says what it would do.
        await page.getByRole("heading", { name: "Tickets that will change: 3" }).waitFor();
        await page.getByText("The change can be undone for 24 hours.").waitFor();
        await sound(page, "the question");
        await page.getByRole("dialog").getByRole("button", { name: "Resolve" }).click();
        await page.getByText("Tickets changed: 3").waitFor();
        await page.getByRole("button", { name: "Undo" }).waitFor();
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
        await becomes(() => dialog.getByRole("button", { name: "Delete" }).isDisabled(), true, "without the name");
        await dialog.getByLabel("Type Delete me to confirm").fill("Delete me");
        await dialog.getByRole("button", { name: "Delete" }).click();
        await page.getByText("Deleted: Delete me").waitFor();
      },
    },
  ];
}
