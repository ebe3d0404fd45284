// Everyday actions of users.

import { go, same, settled, signIn, sound } from "./browser.mjs";
import { send } from "./fixture.mjs";
import { becomes } from "./wait.mjs";
import { ticketActions } from "./ticket-actions.mjs";

/** A PNG of one pixel. */
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

export function actions(made) {
  const { token, tickets, payment, draft, endpoint } = made;
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
    ...ticketActions(made),
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
      name: "two authors on one post: both texts are kept, and what collides is asked",
      options: { refused: [412] },
      run: async (page) => {
        const { data } = await send("POST", "posts", { title: "Two authors", summary: "As it was.", body: "One line." }, token);
        const patch = (version, texts) => send("PATCH", `posts/${data.id}?updateMask=${Object.keys(texts)}`, texts, token, { "if-match": `"${version}"` });
        const save = () => page.getByRole("button", { name: "Save", exact: true }).click();
        const merge = () => page.getByRole("heading", { name: "Somebody else changed this first" }).waitFor();
        await go(page, `/posts/${data.id}`);
        await page.getByLabel("Title", { exact: true }).fill("Two authors, says one");
        await page.getByLabel("Markdown").fill("My *own* line.");
        const other = await patch(data.version, { title: "Two authors, says the other", summary: "As the other has it." });
        await save();
        await merge();
        await sound(page, "the merge of a post");
        // Closing the dialog keeps the text, and the next attempt asks again.
        await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
        await becomes(() => page.getByLabel("Title", { exact: true }).inputValue(), "Two authors, says one", "my title");
        await save();
        await merge();
        await page.getByRole("radio", { name: "Two authors, says one" }).check();
        // The choices are valid for the displayed version.
        await patch(other.data.version, { title: "Two authors, says the other once more" });
        await page.getByRole("button", { name: "Save both" }).click();
        await page.getByRole("radio", { name: "says the other once more" }).waitFor();
        await becomes(() => page.getByRole("button", { name: "Save both" }).isDisabled(), true, "without a choice");
        await page.getByRole("radio", { name: "Two authors, says one" }).check();
        await page.getByRole("button", { name: "Save both" }).click();
        await page.getByText("Saved", { exact: true }).waitFor();
        await page.getByRole("heading", { name: "Two authors, says one" }).waitFor();
        await page.locator(".prose em").getByText("own").waitFor();
        await becomes(() => page.getByLabel("Summary", { exact: true }).inputValue(), "As the other has it.", "their summary in the form");
        const { data: merged } = await send("GET", `posts/${data.id}`, undefined, token);
        same(`${merged.title} ${merged.summary} ${merged.body}`, "Two authors, says one As the other has it. My *own* line.", "the post");
      },
    },
    {
      name: "what somebody else wrote into a post is not undone by whoever has read it since",
      options: { refused: [412] },
      run: async (page) => {
        const { data } = await send("POST", "posts", { title: "Read since", body: "One line." }, token);
        await go(page, `/posts/${data.id}`);
        await page.getByLabel("Markdown").fill("My *own* line.");
        await send("PATCH", `posts/${data.id}?updateMask=title`, { title: "Read since, says the other" }, token, { "if-match": `"${data.version}"` });
        // The page reads the post again after a rejected action.
        await page.getByRole("button", { name: "Publish" }).click();
        const dialog = page.getByRole("dialog");
        await dialog.getByRole("button", { name: "Publish" }).click();
        await dialog.getByRole("alert").waitFor();
        await dialog.getByRole("button", { name: "Close" }).click();
        await page.getByRole("heading", { name: "Read since, says the other" }).waitFor();
        await page.getByRole("button", { name: "Save", exact: true }).click();
        await page.getByRole("button", { name: "Save both" }).click();
        await page.getByText("Saved", { exact: true }).waitFor();
        const { data: merged } = await send("GET", `posts/${data.id}`, undefined, token);
        same(`${merged.title}: ${merged.body}`, "Read since, says the other: My *own* line.", "the post");
        await becomes(() => page.getByLabel("Title", { exact: true }).inputValue(), "Read since, says the other", "the title in the form");
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
        await page.getByRole("textbox", { name: "Name" }).fill("From the console");
        await page.getByRole("checkbox", { name: "support.tickets.read" }).check();
        await page.getByRole("dialog").getByRole("button", { name: "Create service key" }).click();
        await page.locator("code.secret").waitFor();
        await sound(page, "the secret");
        await page.getByRole("button", { name: "Saved" }).click();
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
        // Readers can't load it yet, but its author can.
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
        const readout = () => page.locator(".readout").textContent();
        const last = await becomes(readout, (text) => text !== "", "the period that is shown");
        await page.keyboard.press("ArrowLeft");
        const before = await becomes(readout, (text) => text !== last, "the period before");
        await becomes(() => period.getAttribute("aria-valuetext"), before, "what is read out");
        await page.getByText("As a table").click();
        await becomes(() => page.getByRole("region", { name: "Revenue" }).getByRole("rowheader").count(), 12, "months");
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
        // New log lines arrive after a moment.
        await becomes(async () => {
          await page.getByRole("button", { name: "Refresh" }).click();
          await settled(page);
          return await older.isVisible();
        }, true, "whether there are older lines");
        await older.click();
        await rows.nth(50).waitFor();
        await rows.first().getByRole("button").click();
        await page.getByRole("dialog").getByText('"level": "INFO"').waitFor();
        await sound(page, "a line of the log");
        await page.getByRole("link", { name: "All lines of this request" }).click();
        await page.waitForURL(/requestId=/);
        await page.getByRole("link", { name: "Clear filters" }).click();
        await page.getByLabel("Minimum level").selectOption({ label: "Error" });
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
        await page.locator("tbody tr").first().waitFor();
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
        await becomes(() => dialog.getByRole("button", { name: "Refund" }).isDisabled(), true, "more than was paid");
        const amount = dialog.getByLabel("Amount in EUR");
        for (const bad of ["", "0", "-1", "1.005", "1e2", "1,000.00", "1.2.3", "abc"]) {
          await amount.fill(bad);
          await becomes(() => dialog.getByRole("button", { name: "Refund", exact: true }).isDisabled(), true, `what “${bad}” is`);
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
      name: "the tiles of a module are on the home page, and one that is unavailable affects no other",
      run: async (page) => {
        const tile = page.locator(".tile", { hasText: "Leases that end within 3 days" });
        const bars = page.locator(".card", { hasText: "Vehicles by status" });
        await go(page, "/");
        await page.locator(".tile", { hasText: "Dead jobs" }).waitFor();
        await tile.waitFor();
        await bars.getByText("Recharging").waitFor();
        const pattern = "**/api/v1/dashboard/tiles";
        await page.route(pattern, async (route) => {
          const answer = await (await route.fetch()).json();
          for (const one of answer.data.tiles) if (one.number !== undefined) Object.assign(one, { number: undefined, failure: "The tile could not be read." });
          await route.fulfill({ json: answer });
        });
        await page.reload();
        await tile.getByText("unknown").waitFor();
        await bars.getByText("Recharging").waitFor();
        await page.unroute(pattern);
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
        await page.getByRole("textbox", { name: "Name" }).fill("Folding chair");
        await page.getByLabel("Amount").fill("49.00");
        await page.getByLabel("Currency").fill("eur");
        await sound(page, "an amount");
        await page.getByRole("dialog").getByRole("button", { name: "Create product" }).click();
        await page.getByRole("link", { name: "Folding chair" }).click();
        await page.getByRole("button", { name: "Edit" }).click();
        await becomes(() => page.getByLabel("Amount").inputValue(), "49.00", "the price that is to be changed");
        await page.getByLabel("Amount").fill("52,5");
        await page.getByRole("textbox", { name: "Name" }).fill("Folding chair, oak");
        await page.getByRole("dialog").getByRole("button", { name: "Edit" }).click();
        await page.getByRole("heading", { name: "Folding chair, oak" }).waitFor();
        await page.locator("dl").getByText("€52.50").waitFor();
        // A currency without decimal places.
        await go(page, "/s/ProductService");
        await page.getByRole("button", { name: "Create product" }).click();
        await page.getByRole("textbox", { name: "Name" }).fill("Stool");
        await page.getByLabel("Currency").fill("jpy");
        await page.getByLabel("Amount").fill("4900");
        await page.getByRole("dialog").getByRole("button", { name: "Create product" }).click();
        await page.getByRole("row").filter({ hasText: "Stool" }).getByText(/¥4,900$/).waitFor();
      },
    },
    {
      name: "a wrong password is told, and the address that was asked for comes after the sign-in",
      options: { signedIn: false, refused: [422] },
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
