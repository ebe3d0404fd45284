// Every page, in both themes and both widths; in German once.

import { go, NARROW, open, same, settled, signIn, sound, WIDE } from "./browser.mjs";
import { becomes } from "./wait.mjs";

const MAX_FIRST_PAGE_BYTES = 180_000;
/** A request that fails on a busy machine loads the parts that say so; of several first visits, one has none. */
const FIRST_VISITS = 3;

export function paths({ tickets, product, order, payment, subscription, endpoint, delivery, draft, operation, me }) {
  return {
    home: "/",
    tickets: "/tickets",
    ticket: `/tickets/${tickets[0].id}`,
    customers: "/customers",
    customer: `/customers/${me.accountId}`,
    "customer-members": `/customers/${me.accountId}?list=members`,
    "customer-roles": `/customers/${me.accountId}?list=roles`,
    "staff-roles": "/staff-roles",
    orders: "/orders",
    order: `/orders/${order.id}`,
    payments: "/payments",
    payment: `/payments/${payment.id}`,
    subscriptions: "/subscriptions",
    subscription: `/subscriptions/${subscription.id}`,
    webhooks: "/webhooks",
    webhook: `/webhooks/${endpoint.id}`,
    delivery: `/deliveries/${delivery.id}`,
    "inbound-events": "/inbound-events",
    operations: "/operations",
    operation: `/operations/${operation.id}`,
    posts: "/posts",
    post: `/posts/${draft.id}`,
    people: "/people",
    person: `/people/${me.id}`,
    profile: "/profile",
    security: "/security",
    deletions: "/s/DeletionService",
    audit: "/audit",
    "service-keys": "/service-keys",
    sessions: "/sessions",
    queue: "/queue",
    logs: "/logs",
    deprecated: "/deprecated-methods",
    settings: "/settings",
    files: "/files",
    "files-generic": "/s/FileService",
    products: "/s/ProductService",
    "canned-answers": "/s/CannedAnswerService",
    product: `/s/ProductService/${product.id}`,
    vehicles: "/s/VehicleServiceV2",
    leases: "/s/LeaseService",
    nowhere: "/no-such-page",
  };
}

async function shot(page, name) {
  if (process.env.ARTEFACTS) await page.screenshot({ path: `${process.env.ARTEFACTS}/${name}.png`, fullPage: true });
}

const WAYS = [["light", WIDE], ["dark", WIDE], ["dark", NARROW], ["light", NARROW]];

export function looks(made) {
  const every = {
    name: "every page, in both themes and both widths",
    run: async (page) => {
      const faults = [];
      for (const [name, path] of Object.entries(paths(made))) {
        await look(page, name, path).catch((error) => faults.push(`${name}: ${error.message}`));
      }
      if (faults.length > 0) throw new Error(faults.join("\n"));
    },
  };
  return [every, SIGN_IN, PLAIN, GERMAN, FIRST];
}

async function look(page, name, path) {
  await go(page, path);
  await settled(page);
  for (const [theme, size] of WAYS) {
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize(size);
    await sound(page, `${name}, ${theme}, ${size.width} px`);
    await shot(page, `${name}-${theme}-${size.width}`);
  }
}

const SIGN_IN = {
  name: "the sign-in page, in both themes and both widths",
  options: { signedIn: false },
  run: async (page) => {
    for (const [theme, size] of WAYS) {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize(size);
      await go(page, "/tickets");
      await page.waitForSelector(".sign-in h1");
      await sound(page, "the sign-in");
      await shot(page, `sign-in-${theme}-${size.width}`);
    }
  },
};

const PLAIN = {
  name: "a person signs in without JavaScript",
  options: { signedIn: false },
  run: async (page) => {
    const context = await page.context().browser().newContext({ javaScriptEnabled: false, viewport: NARROW, locale: "de-DE" });
    try {
      const plain = await context.newPage();
      await plain.goto(`${page.origin}/session/sign-in?return=%2Fconsole%2Ftickets`);
      same(await plain.getByRole("button", { name: "Mit einem Passkey anmelden" }).count(), 0, "buttons that need a script");
      const enter = async (password) => {
        await plain.getByLabel("Passwort").fill(password);
        await plain.getByRole("button", { name: "Anmelden", exact: true }).click();
      };
      await plain.getByLabel("E-Mail-Adresse").fill(process.env.MAINSTAY_EMAIL);
      await enter("wrong");
      await plain.getByRole("alert").getByText("Adresse oder Passwort ist falsch.").waitFor();
      await enter(process.env.MAINSTAY_PASSWORD);
      await plain.waitForURL("**/console/tickets");
    } finally {
      await context.close();
    }
  },
};

const GERMAN = {
  name: "German by the browser's language, and back by choice",
  options: { locale: "de-DE" },
  run: async (page) => {
    for (const [name, path, text] of [["home", "/", "Umsatz"], ["queue", "/queue", "Spur"], ["logs", "/logs", "Systemprotokoll"], ["tickets", "/tickets", "Neues Ticket"]]) {
      await go(page, path);
      await settled(page);
      await page.locator("main").getByText(text, { exact: true }).first().waitFor();
      await sound(page, `${name} in German`);
      await shot(page, `${name}-german`);
    }
    await page.click(".avatar");
    await page.getByLabel("Sprache").selectOption("en");
    await page.getByText("New ticket").waitFor();
  },
};

const FIRST = {
  name: "the first page is small",
  options: { signedIn: false },
  run: async (page) => {
    const visits = [];
    while (visits.length < FIRST_VISITS && visits.every(({ bytes }) => bytes > MAX_FIRST_PAGE_BYTES)) {
      const fresh = await open(page.context().browser());
      try {
        visits.push(await firstVisit(fresh));
      } finally {
        await fresh.context().close();
      }
    }
    const { bytes, files } = visits.toSorted((one, other) => one.bytes - other.bytes)[0];
    console.log(`        ${Math.round(bytes / 1000)} kB`);
    if (bytes > MAX_FIRST_PAGE_BYTES) throw new Error(`the first page loads ${bytes} bytes:\n${files.join("\n")}`);
  },
};

/** Returns the files that a visitor without a cache loads until the first page is drawn, and their size. */
async function firstVisit(page) {
  const session = await page.context().newCDPSession(page);
  const pending = new Map();
  const files = [];
  let bytes = 0;
  await session.send("Network.enable");
  session.on("Network.requestWillBeSent", ({ requestId, request, type }) => {
    const { pathname } = new URL(request.url);
    // A document ends the requests of the one before it, and Chromium does not always report them as failed.
    if (type === "Document") pending.clear();
    if (pathname.startsWith("/console")) pending.set(requestId, pathname);
  });
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (!pending.has(requestId)) return;
    files.push(`${encodedDataLength} ${pending.get(requestId)}`);
    bytes += encodedDataLength;
    pending.delete(requestId);
  });
  session.on("Network.loadingFailed", ({ requestId }) => pending.delete(requestId));
  await signIn(page);
  await settled(page);
  // The chart is loaded separately.
  await page.locator(".chart-room svg").first().waitFor();
  await becomes(() => [...pending.values()].join(" "), "", "files that are not loaded");
  return { bytes, files };
}

