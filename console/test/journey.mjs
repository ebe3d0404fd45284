// The first day of a company, as its people see it: each follows the links of mails that an SMTP server has received. The step
// uses a server of its own, because the links lead to its address.

import { downloaded, go, guest, same, settled, signIn, sound } from "./browser.mjs";
import { start } from "./server.mjs";
import { mailServer } from "./smtp.mjs";
import { becomes } from "./wait.mjs";

const PASSWORD = "a long password for a company";

const row = (page, name) => page.getByRole("row").filter({ hasText: name });
const newAddress = (name) => `${name}.${crypto.randomUUID().slice(0, 8)}@example.com`;

/** Registers a person with a company. */
async function register(page, mail, email) {
  await go(page, "/");
  await page.getByRole("link", { name: "Register" }).click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByRole("button", { name: "Send the link" }).click();
  await page.goto(await mail.link(email, "/register"));
  await page.getByLabel("Your name").fill("Ada Lovelace");
  await page.getByLabel("Your organization").fill("Difference Engines");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create the account" }).click();
  await page.getByText("Your account has been created.").waitFor();
  await signIn(page, email, PASSWORD);
}

/** Invites a person on the page of the account. */
async function invite(page, email, role) {
  await go(page, "/account");
  const dialog = page.getByRole("dialog");
  await page.getByRole("button", { name: "Invite" }).click();
  await dialog.getByLabel("E-mail address").fill(email);
  await dialog.getByLabel("Role").selectOption({ label: role });
  await dialog.getByRole("button", { name: "Invite" }).click();
  await dialog.waitFor({ state: "hidden" });
}

/** Accepts an invitation as a new person in another browser; returns its page. */
async function accept(page, mail, email, name) {
  const other = await guest(page);
  await other.goto(await mail.link(email, "/invitation"));
  await other.getByText("Difference Engines").waitFor();
  await other.getByLabel("Your name").fill(name);
  await other.getByLabel("Password").fill(PASSWORD);
  await other.getByRole("button", { name: "Accept" }).click();
  await other.getByText("You are a member now.").waitFor();
  await signIn(other, email, PASSWORD);
  return other;
}

/** Signs in by the link of a mail, which works in the browser that asked for it only. */
async function signInByMail(page, mail, email) {
  const [own, other] = [await guest(page), await guest(page)];
  await go(own, "/");
  await own.getByLabel("E-mail address").fill(email);
  await own.getByRole("button", { name: "Sign in by mail" }).click();
  await own.getByLabel("Code from the mail").waitFor();
  await sound(own, "the sign-in by mail");
  const link = await mail.link(email, "/sign-in");
  await other.goto(link);
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByText("This link works only in the browser in which you asked for it.").waitFor();
  await own.goto(link);
  await own.getByRole("button", { name: "Sign in" }).click();
  await settled(own);
  for (const opened of [own, other]) await opened.context().close();
}

/** Makes a custom role and assigns it to a member. */
async function assignRole(page, name) {
  const dialog = page.getByRole("dialog");
  await go(page, "/account?list=roles");
  await page.getByRole("button", { name: "New role" }).click();
  await dialog.getByLabel("Name", { exact: true }).fill("Bookkeeper");
  for (const scope of ["orders.read", "payments.read"]) await dialog.getByLabel(scope).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("columnheader", { name: "Bookkeeper" }).waitFor();
  await page.getByRole("link", { name: "Members" }).click();
  await row(page, name).getByRole("button", { name: "Change role" }).click();
  await dialog.getByLabel("Role").selectOption({ label: "Bookkeeper" });
  await dialog.getByRole("button", { name: "Save" }).click();
  await row(page, name).getByText("Bookkeeper").waitFor();
}

/** Removes a member, whose browser is signed out. */
async function remove(page, name, other) {
  await row(page, name).getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await row(page, name).waitFor({ state: "detached" });
  await becomes(async () => {
    await other.reload();
    return other.locator(".sign-in").waitFor({ timeout: 5000 }).then(() => true, () => false);
  }, true, "whether the removed person is signed out");
}

/** Asks for the deletion of the account. */
async function askForDeletion(page) {
  await go(page, "/account");
  await page.getByRole("button", { name: "Delete the account" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Your password").fill(PASSWORD);
  await dialog.getByRole("button", { name: "Delete", exact: true }).click();
  await dialog.waitFor({ state: "hidden" });
}

/** Asks for the deletion again, and ends the period of grace; the owner stays, without the account. */
async function complete(page, mail, server, email) {
  await askForDeletion(page);
  await becomes(() => {
    server.sql(`UPDATE deletions SET erase_at = now() WHERE state = 1;
      UPDATE jobs SET due_at = now() WHERE kind = 'erase_data' AND due_at > now() AND lease IS NULL;`);
    return server.sql("SELECT count(*) FROM deletions WHERE state = 3");
  }, "1", "deletions that are complete");
  await mail.wait(email, "and its data were deleted on");
  const later = await guest(page);
  await signIn(later, email, PASSWORD, "/account");
  await later.getByRole("heading", { name: "No account" }).waitFor();
  await later.context().close();
  same(server.sql("SELECT count(*) FROM accounts WHERE name = 'Difference Engines'"), "0", "accounts with the name");
  same((await server.api("GET", "deletions?state=DELETION_STATE_DONE")).data.length, 1, "deletions that the staff sees");
}

async function live(page, mail, server) {
  const [ada, charles, mary] = ["ada", "charles", "mary"].map(newAddress);
  await register(page, mail, ada);
  await signInByMail(page, mail, ada);
  await invite(page, charles, "Viewer");
  await invite(page, mary, "Member");
  const bookkeeper = await accept(page, mail, charles, "Charles Babbage");
  const removed = await accept(page, mail, mary, "Mary Somerville");

  await assignRole(page, "Charles Babbage");
  await sound(page, "the members of a company");
  await remove(page, "Mary Somerville", removed);
  await bookkeeper.reload();
  await settled(bookkeeper);
  for (const { name, count } of [{ name: "Orders", count: 1 }, { name: "Tickets", count: 0 }]) {
    const link = bookkeeper.getByRole("navigation", { name: "Navigation" }).getByRole("link", { name, exact: true });
    await becomes(() => link.count(), count, `links of the bookkeeper to ${name}`);
  }
  await go(page, "/account");
  const archive = await downloaded(page, "Download the data of the account");
  for (const [text, isIn] of [["members.ndjson", true], ["Difference Engines", true], [PASSWORD, false]]) same(archive.includes(text), isIn, `${text} in the archive`);

  await askForDeletion(page);
  await page.goto(await mail.link(ada, "/cancel-deletion"));
  await page.getByRole("button", { name: "Cancel the deletion" }).click();
  await page.getByText("The deletion is canceled.").waitFor();
  await go(page, "/account");
  await page.locator(".sign-in, .shell h1").first().waitFor();
  if (await page.locator(".sign-in").count()) await signIn(page, ada, PASSWORD, "/account");
  await page.getByRole("button", { name: "Delete the account" }).waitFor();
  await sound(page, "the account whose deletion was canceled");
  await complete(page, mail, server, ada);
  for (const other of [bookkeeper, removed]) await other.context().close();
}

export const JOURNEY = [
  {
    name: "a company is created, grows, exports its data, is almost deleted, and is deleted, by the links of its mails",
    options: { signedIn: false, refused: [401, 403] },
    run: async (page) => {
      const mail = await mailServer();
      const server = await start({ smtp: mail.url }).catch((error) => {
        mail.stop();
        throw error;
      });
      page.origin = server.origin.replace("127.0.0.1", "localhost");
      try {
        await live(page, mail, server);
      } finally {
        await server.stop();
        mail.stop();
      }
    },
  },
];
