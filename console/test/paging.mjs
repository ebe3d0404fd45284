// Lists of several pages, and the notices of omitted items.

import { go, same, sound, twoPages } from "./browser.mjs";
import { becomes } from "./wait.mjs";

/** Returns an id whose end distinguishes a row. */
const idEnding = (end) => `01a1fcac-1cdd-7ca6-ba6b-0000${end}`;

export function paging({ me, tickets, order, payment, endpoint, delivery, operation }) {
  const euros = (amountMinor) => ({ amountMinor, currencyCode: "EUR" });
  const refund = (amountMinor) => ({
    id: crypto.randomUUID(), paymentId: payment.id, accountId: me.accountId, status: "REFUND_STATUS_SUCCEEDED", amount: euros(amountMinor), version: "1",
    createTime: "2026-11-21T06:01:15Z", updateTime: "2026-11-21T06:01:15Z", madeAtGateway: false,
  });
  const row = (line) => ({ line, code: "VALIDATION_FAILED", message: `Line ${line} is wrong.` });
  const member = (end, name) => ({
    id: idEnding(end), accountId: me.accountId, userId: idEnding(end), role: "MEMBER_ROLE_MEMBER", name, email: `${name.toLowerCase()}@example.com`, version: "1",
    createTime: "2026-11-21T06:01:15Z", updateTime: "2026-11-21T06:01:15Z",
  });
  /** The paged lists: a region of a page of the console, the request, and two rows by their texts. */
  const lists = [
    ["Failed or skipped", `/operations/${operation.id}`, "**/operations/*/errors?*", [row("7"), "Line 7 is wrong."], [row("8"), "Line 8 is wrong."]],
    ["Members", `/customers/${me.accountId}?list=members`, "**/api/v1/members?accountId=*", [member("00000001", "Ada"), "Ada"], [member("00000002", "Grace"), "Grace"]],
    ["Payments", `/orders/${order.id}`, "**/api/v1/payments?orderId=*", [{ ...payment, id: idEnding("00000001") }, "00000001"], [{ ...payment, id: idEnding("00000002") }, "00000002"]],
    ["Deliveries", `/webhooks/${endpoint.id}`, "**/webhook-endpoints/*/deliveries?*", [{ ...delivery, id: idEnding("00000001"), eventType: "first.event" }, "first.event"], [{ ...delivery, id: idEnding("00000002"), eventType: "second.event" }, "second.event"]],
  ];
  return [
    {
      name: "a payment shows its refunds from all pages",
      run: async (page) => {
        await page.route("**/payments/*/refunds?*", twoPages(refund("100"), refund("200")));
        await go(page, `/payments/${payment.id}`);
        for (const amount of ["€1.00", "€2.00"]) await page.locator(".timeline").getByText(`Refund of ${amount}`).waitFor();
      },
    },
    ...lists.map(([name, path, request, [first, firstText], [second, secondText]]) => ({
      name: `more is shown on demand: ${name}`,
      run: async (page) => {
        await page.route(request, twoPages(first, second));
        await go(page, path);
        const region = page.getByRole("region", { name });
        await region.getByText(firstText, { exact: true }).waitFor();
        same(await region.getByText(secondText, { exact: true }).count(), 0, "rows of the second page");
        await sound(page, `the first page of ${name}`);
        await page.getByRole("button", { name: "Show more" }).click();
        await region.getByText(secondText, { exact: true }).waitFor();
        await becomes(() => region.getByText(firstText, { exact: true }).count(), 1, "rows of the first page");
        await page.getByRole("button", { name: "Show more" }).waitFor({ state: "detached" });
      },
    })),
    {
      name: "agents of all pages can be assigned, and the filter of another's tickets says whose they are",
      run: async (page) => {
        const [ada, grace] = [{ ...me, id: idEnding("00000001"), name: "Ada" }, { ...me, id: idEnding("00000002"), name: "Grace" }];
        await page.route("**/api/v1/users?roles=*", twoPages(ada, grace));
        await go(page, `/tickets/${tickets[1].id}`);
        for (const { name } of [ada, grace]) await page.getByLabel("Assignee").locator("option", { hasText: name }).waitFor({ state: "attached" });
        await go(page, `/tickets?assignee=${grace.id}`);
        await page.waitForFunction(() => [...document.querySelectorAll(".filters select")].some((select) => select.selectedOptions[0]?.textContent === "Grace"));
      },
    },
    {
      name: "a list that the server cuts says so",
      run: async (page) => {
        const job = (id) => ({ id: String(id), kind: "fleet.recharge", failure: "The station is on fire.", attempts: 25, deadTime: "2026-11-21T06:01:15Z" });
        await page.route("**/api/v1/dead-jobs", (route) => route.fulfill({ json: { data: Array.from({ length: 100 }, (_, index) => job(index + 1)) } }));
        await go(page, "/queue");
        await page.getByText("Only the latest 100 are listed.").waitFor();
        await sound(page, "a hundred dead jobs");
      },
    },
    {
      name: "numbers that are not counted to their end, and agents that are left out, say so",
      run: async (page) => {
        await page.route("**/api/v1/tickets?*priorities=*", (route) => route.fulfill({ json: { data: [], meta: { pageSize: 1, total: "10000", totalPages: 10_000, totalIsLowerBound: true } } }));
        await page.route("**/dashboard/tickets?*", async (route) => {
          const { data } = await (await route.fetch()).json();
          const agents = Array.from({ length: 9 }, (_, index) => ({ agentId: crypto.randomUUID(), name: `Agent ${index + 1}`, inProgressCount: String(20 - index), resolvedCount: "0" }));
          await route.fulfill({ json: { data: { ...data, agents } } });
        });
        await go(page, "/");
        await page.locator(".bars").getByText("10,000+").first().waitFor();
        await page.getByText("The 8 with the most tickets.").waitFor();
        await becomes(() => page.locator(".bars").getByText("Agent 9").count(), 0, "agents that are left out");
      },
    },
    {
      name: "a log that is followed says which lines it leaves out, until it is read again",
      run: async (page) => {
        page.mayLose = true;
        const line = (number) => ({ id: crypto.randomUUID(), level: "SYSTEM_LOG_LEVEL_INFO", message: `Written ${number}`, line: "{}", logTime: "2026-11-21T06:01:15Z" });
        const body = Array.from({ length: 501 }, (_, index) => `id: ${index + 1}\ndata: ${JSON.stringify({ data: line(index + 1) })}\n\n`).join("");
        let streams = 0;
        await page.route("**/dashboard/system-logs/watch*", (route) => (streams++ === 0 ? route.fulfill({ contentType: "text/event-stream", body }) : route.abort()));
        await go(page, "/logs?method=PostService.GetPostBySlug");
        await page.getByRole("button", { name: "Follow" }).click();
        const notice = page.getByText("Of the new lines, only the latest 500 are shown.");
        await notice.waitFor();
        await page.getByText("Written 501", { exact: true }).waitFor();
        same(await page.getByText("Written 1", { exact: true }).count(), 0, "lines that are left out");
        await page.getByRole("button", { name: "Refresh" }).click();
        await notice.waitFor({ state: "detached" });
      },
    },
  ];
}
