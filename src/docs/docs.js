// Convenience for the reference: search, the current section, copying, and sending a request. The page is readable
// without it.
"use strict";

document.documentElement.classList.remove("no-script");

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const side = document.querySelector(".side");
const menu = document.querySelector(".menu");
const search = document.getElementById("search");
const token = document.getElementById("token");

for (const origin of all(".origin")) origin.textContent = location.origin;

// Navigation

function openMenu(open) {
  side.classList.toggle("open", open);
  menu.setAttribute("aria-expanded", String(open));
}

menu.addEventListener("click", () => openMenu(!side.classList.contains("open")));
side.addEventListener("click", (event) => {
  if (event.target.closest("nav a")) openMenu(false);
});

const links = new Map(all("nav a").map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
const visible = new Set();
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) visible.add(target);
      else visible.delete(target);
    }
    const first = all(".op, #introduction, #errors").find((place) => visible.has(place));
    if (!first) return;
    for (const link of links.values()) link.removeAttribute("aria-current");
    const link = links.get(first.id);
    if (!link) return;
    link.setAttribute("aria-current", "true");
    link.scrollIntoView({ block: "nearest", behavior: "instant" });
  },
  { rootMargin: "-10% 0px -70% 0px" },
);
for (const place of all(".op, #introduction, #errors")) watcher.observe(place);

// Search

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const op of all(".op")) {
    const fits = words.every((word) => op.dataset.search.includes(word));
    op.hidden = !fits;
    found += fits;
    const link = links.get(op.id);
    if (link) link.parentElement.hidden = !fits;
  }
  const empty = (group, item) => all(item, group).every((child) => child.hidden);
  for (const group of all(".group:not(#errors)")) group.hidden = empty(group, ".op");
  for (const group of all(".nav-group")) group.hidden = empty(group, "li");
  for (const place of all("#introduction, #errors")) place.hidden = words.length > 0;
  document.querySelector(".nothing").hidden = found > 0;
}

search.addEventListener("input", filter);
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    search.value = "";
    filter();
    search.blur();
  } else if (event.key === "Enter") {
    const first = all(".op").find((op) => !op.hidden);
    if (first) {
      openMenu(false);
      location.hash = first.id;
    }
  }
});
// A link to a section that the search has hidden ends the search.
addEventListener("hashchange", () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.closest("[hidden]")) {
    search.value = "";
    filter();
    target.scrollIntoView();
  }
});
addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    openMenu(true);
    search.focus();
  }
});

// Copying

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  const text = button.closest("figure").querySelector("pre").textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
});

// Trying

// `crypto.randomUUID` is not available over plain HTTP.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".fresh");
  if (button) button.parentElement.querySelector("input").value = uuid();
});

token?.form.addEventListener("submit", (event) => event.preventDefault());

function request(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = new Headers();
  let body;
  for (const field of all("[data-in]", form)) {
    const value = field.value.trim();
    switch (value && field.dataset.in) {
      case "path":
        path = path.replace(`{${field.name}}`, encodeURIComponent(value));
        break;
      case "query": {
        const values = "list" in field.dataset ? value.split(",").map((item) => item.trim()) : [value];
        for (const item of values) query.append(field.name, item);
        break;
      }
      case "header":
        headers.set(field.name, value);
        break;
      case "body":
        body = field.value;
        headers.set("Content-Type", form.querySelector("[data-type]").value);
        break;
    }
  }
  if (token.value.trim()) headers.set("Authorization", `Bearer ${token.value.trim()}`);
  const tail = query.size ? `?${query}` : "";
  // The page may be served under a prefix, with the API next to it.
  const url = new URL(path.slice(1) + tail, new URL(".", location.href));
  return [url, { method: form.dataset.method, headers, body, credentials: "omit", cache: "no-store" }];
}

const LONGEST = 200_000;

// A stream may last for minutes, so the output shown is bounded.
async function read(response) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (reader && text.length < LONGEST) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  if (text.length >= LONGEST) {
    await reader.cancel();
    text = `${text.slice(0, LONGEST)}\n… cut off here`;
  }
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest(".trial form");
  if (!form) return;
  event.preventDefault();
  const output = form.querySelector("output");
  const result = form.querySelector("pre");
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  output.textContent = "Sending…";
  const begin = performance.now();
  try {
    const response = await fetch(...request(form));
    const text = await read(response);
    output.textContent = `${response.status} in ${Math.round(performance.now() - begin)} ms`;
    const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`);
    result.textContent = `${headers.join("\n")}\n\n${text || "(no body)"}`;
    result.hidden = false;
  } catch (error) {
    output.textContent = `Not sent: ${error.message}`;
  } finally {
    button.disabled = false;
  }
});
