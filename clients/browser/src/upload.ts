/** Uploads the file of a form, as the browser encodes it, attaches it to a ticket, and offers it for download. */

import type { components } from "../generated/mainstay.js";
import { connect, Refused, take, type Envelope } from "./client.js";

type Uploaded = components["schemas"]["UploadFileResponse"];

const form = document.querySelector("form")!;
const output = document.querySelector("pre")!;
const link = document.querySelector("a")!;
const value = (id: string): string => document.querySelector<HTMLInputElement>(`#${id}`)!.value;

/** Sends a form with one file; its other fields are those of the request, such as `purpose`. */
async function upload(server: string, token: string, body: FormData): Promise<Uploaded["data"]> {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch(`${server}/api/v1/files`, { method: "POST", headers, body });
  if (!answer.ok) {
    throw new Refused((await answer.json()) as Envelope);
  }
  return ((await answer.json()) as Uploaded).data;
}

/** Downloads a file. The API redirects to a URL that needs no token, so `url` may also be the target of a link. */
async function download(server: string, token: string, id: string): Promise<{ url: string; text: string }> {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch(`${server}/api/v1/files/${id}/content`, { headers });
  if (!answer.ok) {
    throw new Refused((await answer.json()) as Envelope);
  }
  return { url: answer.url, text: await answer.text() };
}

async function run(): Promise<void> {
  const server = value("server");
  let token = "";
  const api = connect(server, () => token);
  const signIn = { email: value("email"), password: value("password") };
  token = (await take(api.POST("/api/v1/auth/login", { body: signIn }))).data?.accessToken ?? "";
  const me = await take(api.GET("/api/v1/me"));
  const file = await upload(server, token, new FormData(form));
  const id = file?.id ?? "";
  const draft = { subject: "A file of a form", body: "See the file.", accountId: me.accountId ?? "", attachmentIds: [id] };
  const ticket = (await take(api.POST("/api/v1/tickets", { body: draft }))).data;
  const { url, text } = await download(server, token, ticket?.attachmentIds[0] ?? "");
  output.textContent = JSON.stringify({ name: file?.name, contentType: file?.contentType, text });
  link.href = url;
  link.hidden = false;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await run();
    output.dataset.done = "well";
  } catch (error) {
    output.textContent = String(error);
    output.dataset.done = "badly";
  }
});
