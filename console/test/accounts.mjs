// Accounts with several people: what customers see, invitations read from the mail, members, roles, and several accounts of
// one person. All steps use a separate server, whose mail is read from its outbox.

import { go, guest, NARROW, same, settled, signIn, sound, WIDE } from "./browser.mjs";
import { send, signIn as signInByApi } from "./fixture.mjs";
import { becomes, WAIT_MS } from "./wait.mjs";

export const PASSWORD = "a long password for an account";
const WAYS = [["light", WIDE], ["dark", WIDE], ["dark", NARROW], ["light", NARROW]];

/** Registers a person with an account by mail, and returns the address. */
export async function register(server, name, accountName) {
  const email = `${name.toLowerCase().replace(/ .*/, "")}.${crypto.randomUUID().slice(0, 8)}@example.com`;
  await send("POST", "auth/register", { email }, undefined, {}, server.origin);
  const token = await server.token(email, "mrg_");
  await send("POST", "auth/register/confirm", { token, password: PASSWORD, name, accountName }, undefined, {}, server.origin);
  return email;
}

/** Returns a function that calls the API as a person. */
export async function as(server, email) {
  const token = await signInByApi(email, PASSWORD, server.origin);
  return (method, path, body) => send(method, path, body, token, {}, server.origin);
}

/** Adds a person to the account of an owner, by an invitation. */
async function join(server, owner, name, role) {
  const email = `${name.toLowerCase()}.${crypto.randomUUID().slice(0, 8)}@example.com`;
  await (await as(server, owner))("POST", "invitations", { email, ...role });
  const token = await server.token(email, "miv_");
  await send("POST", "invitations/register", { token, password: PASSWORD, name }, undefined, {}, server.origin);
  return email;
}

/** Checks a page in both themes and both widths. */
async function looks(page, name, path) {
  await go(page, path);
  await settled(page);
  for (const [theme, size] of WAYS) {
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize(size);
    await sound(page, `${name}, ${theme}, ${size.width} px`);
    if (process.env.ARTEFACTS) await page.screenshot({ path: `${process.env.ARTEFACTS}/${name}-${theme}-${size.width}.png`, fullPage: true });
  }
  await page.setViewportSize(WIDE);
}

export const navigation = (page) => page.getByRole("navigation", { name: "Navigation" });
export const row = (page, name) => page.getByRole("row").filter({ hasText: name });
/** The button that switches the account; its text is the name of the account. */
const account = (page, name) => page.getByRole("button", { name: `Account: ${name}` });

const HOME = {
  name: "a customer sees the account's own pages",
  options: { signedIn: false, ownServer: true },
  run: async (page, server) => {
    const email = `ada.${crypto.randomUUID().slice(0, 8)}@example.com`;
    // The sign-in leads to the registration, which this server's own pages complete.
    await go(page, "/");
    await page.getByRole("link", { name: "Register" }).click();
    await page.getByLabel("E-mail address").fill(email);
    await page.getByRole("button", { name: "Send the link" }).click();
    await page.goto(`${page.origin}/register?token=${await server.token(email, "mrg_")}`);
    await page.getByLabel("Your name").fill("Ada Lovelace");
    await page.getByLabel("Your organization").fill("Difference Engines");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Create the account" }).click();
    await page.getByText("Your account has been created.").waitFor();
    const api = await as(server, email);
    await api("POST", "tickets", { subject: "The crank is stiff", body: "Since this morning." });
    const { data: desk } = await server.api("POST", "products", { name: "Brass gear", price: { amountMinor: "900", currencyCode: "EUR" } });
    const { data: order } = await api("POST", "orders", { items: [{ productId: desk.id, quantity: 3 }] });
    await signIn(page, email, PASSWORD);
    await page.getByText("Orders to pay: 1").waitFor();
    await page.getByText("Invite your colleagues to this account").waitFor();
    await account(page, "Difference Engines").waitFor();
    for (const name of ["Tickets", "Orders", "Payments", "Subscriptions", "Account", "Service keys", "Profile", "Sessions", "Files"]) await navigation(page).getByRole("link", { name, exact: true }).waitFor();
    for (const name of ["Customers", "People", "Webhooks", "System logs", "Posts", "Staff roles"]) same(await navigation(page).getByRole("link", { name, exact: true }).count(), 0, `links to ${name}`);
    for (const [name, path] of [["customer-home", "/"], ["customer-tickets", "/tickets"], ["customer-order", `/orders/${order.id}`], ["customer-files", "/files"], ["customer-products", "/s/ProductService"], ["customer-account", "/account"], ["customer-invitations", "/account?list=invitations"], ["customer-account-roles", "/account?list=roles"], ["customer-profile", "/profile"]]) await looks(page, name, path);
    // A customer's form does not ask for an account.
    await go(page, "/tickets");
    await page.getByRole("button", { name: "New ticket" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Subject").fill("The lever is missing");
    await dialog.getByLabel("Body").fill("It was not in the box.");
    same(await dialog.getByLabel("Account").count(), 0, "fields for an account");
    await dialog.getByRole("button", { name: "New ticket" }).click();
    await page.getByRole("heading", { name: "The lever is missing" }).waitFor();
    await sound(page, "a ticket of a customer");
  },
};

const INVITATION = {
  name: "an owner invites a person, who joins as a new one, gets another role, and is removed",
  options: { signedIn: false, ownServer: true, refused: [401, 403] },
  run: async (page, server) => {
    const owner = await register(server, "Ada Lovelace", "Difference Engines");
    const email = `charles.${crypto.randomUUID().slice(0, 8)}@example.com`;
    await signIn(page, owner, PASSWORD);
    await go(page, "/account");
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Invite" }).click();
    await dialog.getByLabel("E-mail address").fill(email);
    await dialog.getByLabel("Role").selectOption({ label: "Viewer" });
    await sound(page, "the form of an invitation");
    await dialog.getByRole("button", { name: "Invite" }).click();
    await page.getByRole("link", { name: "Invitations" }).click();
    await row(page, email).getByText("Waits").waitFor();
    await looks(page, "invitations", "/account?list=invitations");
    await row(page, email).getByRole("button", { name: "Send again" }).click();
    await dialog.getByRole("button", { name: "Send again" }).click();
    await page.getByText("Done: Send again").waitFor();

    // The link of the mail leads to this server.
    const token = await server.token(email, "miv_");
    const other = await guest(page);
    await other.goto(`${server.origin}/invitation?token=${token}`);
    await other.getByText("Difference Engines").waitFor();
    await other.getByLabel("Your name").fill("Charles Babbage");
    await other.getByLabel("Password").fill(PASSWORD);
    await other.getByRole("button", { name: "Accept" }).click();
    await other.getByRole("status").waitFor();
    await signIn(other, email, PASSWORD);
    await account(other, "Difference Engines").waitFor();
    await go(other, "/account");
    await other.getByText(owner).waitFor();
    same(await other.getByRole("button", { name: "Invite" }).count(), 0, "buttons of a viewer that invite");
    await go(other, "/tickets");
    await settled(other);
    same(await other.getByRole("button", { name: "New ticket" }).count(), 0, "buttons of a viewer that create a ticket");

    await go(page, "/account");
    await row(page, "Charles Babbage").getByRole("button", { name: "Change role" }).click();
    await dialog.getByLabel("Role").selectOption({ label: "Member" });
    await sound(page, "the form of a member's role");
    await dialog.getByRole("button", { name: "Save" }).click();
    await row(page, "Charles Babbage").getByText("Member", { exact: true }).waitFor();
    // The next request of the other browser is refused with the old role, and gets the new one.
    await becomes(async () => {
      await other.reload();
      await settled(other);
      return other.getByRole("button", { name: "New ticket" }).count();
    }, 1, "buttons of a member that create a ticket");

    await row(page, "Charles Babbage").getByRole("button", { name: "Remove" }).click();
    await dialog.getByRole("button", { name: "Remove" }).click();
    await row(page, "Charles Babbage").waitFor({ state: "detached" });
    await becomes(async () => {
      await other.reload();
      return other.locator(".sign-in").waitFor({ timeout: 5000 }).then(() => true, () => false);
    }, true, "whether the removed person is signed out");
    await other.context().close();
    await sound(page, "the members without the person");
  },
};

const ROLES = {
  name: "an owner makes a custom role by its scopes, assigns it, changes it, and deletes it when it is free",
  options: { signedIn: false, ownServer: true, refused: [422] },
  run: async (page, server) => {
    const owner = await register(server, "Ada Lovelace", "Difference Engines");
    const mary = await join(server, owner, "Mary", { role: "MEMBER_ROLE_VIEWER" });
    await signIn(page, owner, PASSWORD);
    await go(page, "/account?list=roles");
    await page.getByRole("columnheader", { name: "Billing" }).waitFor();
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "New role" }).click();
    await dialog.getByLabel("Name", { exact: true }).fill("Bookkeeper");
    await dialog.getByLabel("Description").fill("Reads orders and payments");
    await dialog.getByLabel("orders.read").check();
    await dialog.getByLabel("payments.read").check();
    same(await dialog.getByLabel("payments.refunds.create").count(), 0, "checkboxes of a scope of the staff");
    await sound(page, "the form of a role");
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByRole("columnheader", { name: "Bookkeeper" }).waitFor();
    await looks(page, "roles", "/account?list=roles");

    await page.getByRole("link", { name: "Members" }).click();
    await row(page, "Mary").getByRole("button", { name: "Change role" }).click();
    await dialog.getByLabel("Role").selectOption({ label: "Bookkeeper" });
    await dialog.getByRole("button", { name: "Save" }).click();
    await row(page, "Mary").getByText("Bookkeeper").waitFor();
    const scopes = async () => (await (await as(server, mary))("GET", "me/access")).data.scopes.join(" ");
    await becomes(scopes, "orders.read payments.read", "the scopes of the member");

    await page.getByRole("link", { name: "Roles" }).click();
    await row(page, "Reads orders").getByRole("button", { name: "Edit" }).click();
    await dialog.getByLabel("payments.read").uncheck();
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "hidden" });
    await becomes(scopes, "orders.read", "the scopes after the change of the role");
    await row(page, "Reads orders").getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("alert").getByText("The role is in use.").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
  },
};

const DOMAIN = {
  name: "an owner proves a mail domain, and a person who registers with it joins the account",
  options: { signedIn: false, ownServer: true, refused: [422] },
  run: async (page, server) => {
    const owner = await register(server, "Ada Lovelace", "Difference Engines");
    const domain = `${crypto.randomUUID().slice(0, 8)}.example`;
    await signIn(page, owner, PASSWORD);
    await go(page, "/account?list=domains");
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Add a domain" }).click();
    await dialog.getByLabel("Mail domain").fill("gmail.com");
    await dialog.getByRole("button", { name: "Add" }).click();
    await dialog.getByRole("alert").getByText("public mail provider").waitFor();
    await dialog.getByLabel("Mail domain").fill(domain.toUpperCase());
    await dialog.getByLabel("Role").selectOption({ label: "Viewer" });
    await sound(page, "the form of a mail domain");
    await dialog.getByRole("button", { name: "Add" }).click();
    await row(page, domain).getByText("Pending").waitFor();
    await looks(page, "mail-domains", "/account?list=domains");
    const verify = async () => {
      await row(page, domain).getByRole("button", { name: "Verify" }).click();
      await dialog.getByRole("button", { name: "Verify" }).click();
    };
    await verify();
    await dialog.getByRole("alert").getByText("not found").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    // The page shows what the DNS provider needs.
    const [name, value] = await row(page, domain).locator("code").allTextContents();
    same(name, `_mainstay-challenge.${domain}`, "the name of the record");
    server.setRecord(name, value);
    await verify();
    await row(page, domain).getByText("Verified").waitFor();

    const email = `grace@${domain}`;
    await send("POST", "auth/register", { email }, undefined, {}, server.origin);
    const token = await server.token(email, "mrg_");
    await send("POST", "auth/register/confirm", { token, password: PASSWORD, name: "Grace Hopper" }, undefined, {}, server.origin);
    await page.getByRole("link", { name: "Members" }).click();
    await row(page, "Grace Hopper").getByText("Viewer").waitFor();
    await page.getByRole("link", { name: "Mail domains" }).click();
    await row(page, domain).getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await row(page, domain).waitFor({ state: "detached" });
  },
};

const IMPERSONATIONS = {
  name: "an admin sees the live impersonations, and ends one",
  options: { ownServer: true },
  run: async (page, server) => {
    const customer = await register(server, "Ada Lovelace", "Difference Engines");
    const [{ id: userId }] = (await server.api("GET", `users?email=${encodeURIComponent(customer)}`)).data;
    const [{ accountId }] = (await server.api("GET", `members?userId=${userId}`)).data;
    const reason = "Ticket 4711: the list is empty";
    const { accessToken } = await server.api("POST", "impersonations", { userId, accountId, reason });
    await navigation(page).getByRole("link", { name: "Impersonations" }).click();
    await row(page, reason).waitFor();
    await looks(page, "impersonations", "/impersonations");
    await row(page, reason).getByRole("button", { name: "End" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End" }).click();
    await row(page, reason).waitFor({ state: "detached" });
    const headers = { authorization: `Bearer ${accessToken}` };
    await becomes(async () => (await fetch(`${server.origin}/api/v1/me`, { headers })).status, 401, "the status of the ended access token");
    // The page of the person has the history of both acts.
    await go(page, `/people/${userId}`);
    await page.getByRole("heading", { name: "History" }).waitFor();
  },
};

const SWITCH = {
  name: "a person creates another account, switches between both in all tabs, and leaves one",
  options: { signedIn: false, ownServer: true, refused: [401, 422] },
  run: async (page, server) => {
    const owner = await register(server, "Ada Lovelace", "Difference Engines");
    const grace = await join(server, owner, "Grace", { role: "MEMBER_ROLE_MEMBER" });
    await (await as(server, owner))("POST", "tickets", { subject: "Of the first account", body: "Only there." });
    await signIn(page, grace, PASSWORD);
    await page.getByRole("link", { name: "Of the first account" }).waitFor();
    await account(page, "Difference Engines").click();
    const menu = page.getByRole("dialog", { name: "Accounts" });
    await sound(page, "the choice of an account");
    await menu.getByRole("button", { name: "New account" }).click();
    const dialog = page.getByRole("dialog", { name: "New account" });
    await dialog.getByLabel("Name of the organization").fill("Compilers");
    await sound(page, "the form of an account");
    await dialog.getByRole("button", { name: "Create" }).click();
    await account(page, "Compilers").waitFor();
    await page.getByText("Invite your colleagues to this account").waitFor();
    await becomes(() => page.getByText("Of the first account").count(), 0, "tickets of the other account");

    const second = await page.context().newPage();
    second.setDefaultTimeout(WAIT_MS);
    second.origin = page.origin;
    await go(second, "/account");
    await second.getByRole("heading", { name: "Compilers" }).waitFor();
    await account(page, "Compilers").click();
    await menu.getByRole("button", { name: /Difference Engines/ }).click();
    await page.getByText("Now in Difference Engines").waitFor();
    await page.getByRole("link", { name: "Of the first account" }).waitFor();
    // The other tab follows, because both share the session.
    await account(second, "Difference Engines").waitFor();
    await second.close();

    await go(page, "/account");
    await page.getByRole("button", { name: "Leave" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Leave" }).click();
    await becomes(async () => (await account(page, "Compilers").count()) + (await page.locator(".sign-in").count()), 1, "pages after leaving");
    await becomes(async () => (await (await as(server, grace))("GET", "me")).memberships.length, 1, "memberships that are left");
    if (await page.locator(".sign-in").count()) await signIn(page, grace, PASSWORD);
    // The last owner can't leave.
    await go(page, "/account");
    await page.getByRole("button", { name: "Leave" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Leave" }).click();
    await page.getByRole("dialog").getByRole("alert").getByText("The last owner").waitFor();
  },
};

const LIMIT = {
  name: "the limit of an account ends the session in this account, and the session continues in another one",
  options: { signedIn: false, ownServer: true },
  run: async (page, server) => {
    const owner = await register(server, "Ada Lovelace", "Difference Engines");
    const grace = await join(server, owner, "Grace", { role: "MEMBER_ROLE_MEMBER" });
    await (await as(server, grace))("POST", "accounts", { name: "Compilers" });
    await signIn(page, grace, PASSWORD);
    const present = await page.locator(".account-name").innerText();
    server.sql(`UPDATE accounts SET session_max_age_seconds = 900 WHERE name = '${present}';
                UPDATE sessions SET proved_at = proved_at - interval '1 hour'`);
    // As another tab that has switched the account, which has this tab refresh.
    await page.evaluate(() => new BroadcastChannel("mainstay-session").postMessage("account"));
    await account(page, present === "Compilers" ? "Difference Engines" : "Compilers").waitFor();
    await account(page, present).waitFor({ state: "detached" });
  },
};

const OWNERSHIP = {
  name: "an owner transfers the ownership, and becomes an admin",
  options: { signedIn: false, ownServer: true },
  run: async (page, server) => {
    const owner = await register(server, "Ada Lovelace", "Difference Engines");
    await join(server, owner, "Charles", { role: "MEMBER_ROLE_ADMIN" });
    await signIn(page, owner, PASSWORD);
    await go(page, "/account");
    await page.getByRole("button", { name: "Transfer the ownership" }).click();
    const dialog = page.getByRole("dialog");
    const option = dialog.locator("option", { hasText: "Charles" });
    await option.waitFor({ state: "attached" });
    await dialog.getByLabel("Next owner").selectOption(await option.getAttribute("value"));
    await sound(page, "the form of a transfer");
    await dialog.getByRole("button", { name: "Transfer", exact: true }).click();
    await row(page, "Charles").getByText("Owner", { exact: true }).waitFor();
    await row(page, "Ada").getByText("Admin", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Transfer the ownership" }).waitFor({ state: "detached" });
  },
};

const STAFF = {
  name: "staff find an account and its members, and an agent with a custom role sees what it grants",
  options: { ownServer: true },
  run: async (page, server) => {
    await register(server, "Ada Lovelace", "Zuse Machines");
    const agent = await register(server, "Konrad Klein", "Another Company");
    await go(page, "/customers");
    await page.getByLabel("Search").fill("zuse");
    await row(page, "Another Company").waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Zuse Machines" }).first().click();
    await page.getByRole("heading", { name: "Zuse Machines" }).waitFor();
    await page.getByRole("link", { name: "Members" }).click();
    await row(page, "Ada Lovelace").getByText("Owner").waitFor();
    await sound(page, "the members of a customer");

    await go(page, "/staff-roles");
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "New role" }).click();
    await dialog.getByLabel("Name", { exact: true }).fill("Refunds desk");
    for (const scope of ["payments.read", "payments.refunds.create", "identity.users.read"]) await dialog.getByLabel(scope).check();
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByRole("columnheader", { name: "Refunds desk" }).waitFor();
    await looks(page, "staff-roles-custom", "/staff-roles");

    const [{ id }] = (await server.api("GET", `users?email=${encodeURIComponent(agent)}`)).data;
    await go(page, `/people/${id}`);
    await page.getByRole("button", { name: "Change role" }).click();
    await dialog.getByLabel("Role").selectOption({ label: "Agent with the role Refunds desk" });
    await sound(page, "the form of a person's role");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "hidden" });
    await looks(page, "person-with-role", `/people/${id}`);
    await page.emulateMedia({ colorScheme: "light" });
    await page.click(".avatar");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForSelector(".sign-in");
    await signIn(page, agent, PASSWORD);
    await navigation(page).getByRole("link", { name: "Payments" }).waitFor();
    // Everyone may have personal access tokens.
    await navigation(page).getByRole("link", { name: "Service keys", exact: true }).waitFor();
    for (const name of ["Tickets", "Orders", "Staff roles"]) same(await navigation(page).getByRole("link", { name, exact: true }).count(), 0, `links to ${name}`);
    await sound(page, "the home page of an agent with a custom role");
  },
};

export const ACCOUNTS = [HOME, INVITATION, ROLES, DOMAIN, IMPERSONATIONS, SWITCH, LIMIT, OWNERSHIP, STAFF];
