// What is sent again, or changed and sent, after an answer was lost or refused.

import { go, same, sound } from "./browser.mjs";
import { send } from "./fixture.mjs";

const NO_ANSWER = "The server does not answer";
const SOMETHING_NEW = "What you sent before may have taken effect.";

/** Hands the requests of a method to `answer`, with how many there were before, and returns the keys that they come under. */
async function intercept(page, path, method, answer) {
  const keys = [];
  await page.route(path, (route) => {
    if (route.request().method() !== method) return route.continue();
    keys.push(route.request().headers()["idempotency-key"]);
    return answer(route, keys.length - 1);
  });
  return keys;
}

export function resends({ token, me }) {
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
        await page.waitForFunction((field) => field.value === "", await text.elementHandle());
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
        // It waits for the one that is on its way.
        await text.press("Control+Enter");
        release();
        await page.locator(".thread").getByText("One.").waitFor();
        same(await text.inputValue(), "Two.", "what was entered");
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
  ];
}
