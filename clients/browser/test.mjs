// Runs the page in a real browser from a foreign origin: every request is a cross-origin request.

import { deepEqual, equal } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";

import { chromium } from "playwright-core";

const { CHROMIUM, MAINSTAY_URL, MAINSTAY_EMAIL, MAINSTAY_PASSWORD, PAGE_ORIGIN = "http://app.localhost" } = process.env;
const FILES = {
  "/": ["index.html", "text/html"],
  "/upload": ["upload.html", "text/html"],
  "/build/page.js": ["build/page.js", "text/javascript"],
  "/build/upload.js": ["build/upload.js", "text/javascript"],
};

const pages = createServer((request, response) => {
  const [file, type] = FILES[new URL(request.url, PAGE_ORIGIN).pathname] ?? [];
  if (!file) {
    return response.writeHead(404).end();
  }
  response.writeHead(200, { "content-type": type });
  createReadStream(new URL(file, import.meta.url)).pipe(response);
}).listen(0, "127.0.0.1");
await once(pages, "listening");

// The allowed origin is a fixed host name; Chromium maps it to the port that the page server got.
const stranger = "http://stranger.localhost";
const rules = [PAGE_ORIGIN, stranger].map((origin) => `MAP ${new URL(origin).host}:80 127.0.0.1:${pages.address().port}`);
const browser = await chromium.launch({
  executablePath: CHROMIUM ?? execFileSync("which", ["chromium"], { encoding: "utf8" }).trim(),
  args: [
    `--host-resolver-rules=${rules.join(",")}`,
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
  ],
});

async function run(origin) {
  const page = await browser.newPage();
  await page.goto(origin);
  await page.fill("[name=server]", MAINSTAY_URL);
  await page.fill("[name=email]", MAINSTAY_EMAIL);
  await page.fill("[name=password]", MAINSTAY_PASSWORD);
  await page.click("button");
  const output = await page.waitForSelector("pre[data-done]", { timeout: 60_000, state: "attached" });
  return [await output.getAttribute("data-done"), await output.textContent()];
}

/** Uploads a file with the page's form, as a person does, and downloads it with the page's link. */
async function upload() {
  const [name, text] = ["Grüße 🔥.txt", "Smoke since nine. 🔥\r\n--boundary--\r\n"];
  const page = await browser.newPage();
  await page.goto(`${PAGE_ORIGIN}/upload`);
  await page.fill("#server", MAINSTAY_URL);
  await page.fill("#email", MAINSTAY_EMAIL);
  await page.fill("#password", MAINSTAY_PASSWORD);
  await page.setInputFiles("[name=file]", { name, mimeType: "text/plain", buffer: Buffer.from(text) });
  await page.click("button");
  const output = await page.waitForSelector("pre[data-done]", { timeout: 60_000, state: "attached" });
  const words = await output.textContent();
  if ((await output.getAttribute("data-done")) !== "well") {
    throw new Error(`the upload failed: ${words}`);
  }
  deepEqual(JSON.parse(words), { name, contentType: "text/plain", text });
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("a")]);
  equal(await readFile(await download.path(), "utf8"), text);
  equal(download.suggestedFilename(), name);
}

try {
  const [done, text] = await run(PAGE_ORIGIN);
  process.stdout.write(text);
  const [strangers, words] = await run(stranger);
  if (done !== "well" || strangers !== "badly" || !words.includes("Failed to fetch")) {
    throw new Error(`the page ended ${done}, the page of a foreign origin ended ${strangers}: ${words}`);
  }
  await upload();
} finally {
  await browser.close();
  pages.close();
}
