// Starts Scalar with our document. Nothing here may name another origin: the page's policy would block it.
"use strict";

const SIGNS_IN = /\/auth\/(login|register|refresh)$/;
const TOKEN = "token";

const configuration = () => ({
  url: "openapi.json",
  customFetch: fetchFor,
  authentication: {
    preferredSecurityScheme: "bearer",
    securitySchemes: { bearer: { token: sessionStorage.getItem(TOKEN) ?? "" } },
  },
  persistAuth: true,
  documentDownloadType: "direct",
  defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
  // Everything that would talk to Scalar's own servers, or offer to.
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  showDeveloperTools: "never",
  hideClientButton: true,
  // Some of Scalar's own colours have too little contrast to be read.
  customCss: `
    .light-mode {
      --scalar-color-3: #6b6b6b; --scalar-color-green: #06704f; --scalar-color-red: #c62828;
      --scalar-color-yellow: #8a5a00;
    }
    .dark-mode { --scalar-color-3: #9b9b9b; --scalar-color-red: #ff7b72; }`,
});

// Fetches the document, and sends what is tried on this page.
async function fetchFor(input, init) {
  const response = await fetch(input, init);
  const path = new URL(response.url).pathname;
  if (response.ok && path.endsWith("/openapi.json")) return Response.json(readable(await response.json()));
  if (response.ok && SIGNS_IN.test(path)) keepToken(await response.clone().json());
  return response;
}

// Puts what only our extensions say into words, because Scalar would show it as JSON.
function readable(document) {
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  for (const operation of operations) operation.description = [operation.description, ...facts(operation)].join("\n\n");
  const inline = operations.flatMap((operation) => operation.parameters ?? []);
  for (const parameter of [...Object.values(document.components.parameters ?? {}), ...inline]) quieten(parameter);
  const errors = (document["x-error-catalogue"] ?? []).map(
    ({ code, http, grpc, retryable, summary }) =>
      `- **\`${code}\`** ${http}, ${grpc}${retryable ? ", worth a retry" : ""}: ${summary}`,
  );
  if (errors.length > 0) document.info.description += `\n\n## Errors\n\n${errors.join("\n")}`;
  return document;
}

// The gRPC method of an operation, and who may call it.
function facts({ "x-grpc-method": method, "x-policy": policy }) {
  if (!method) return [];
  const word = (reach) => (reach === "any" ? "all" : reach);
  const needed = (scope, otherwise) => scope && `scope \`${scope}\`${otherwise ? `, else ${word(otherwise)}` : ""}`;
  const grant = ({ role, reach, scope, reachWithoutScope }) =>
    `${role} (${[word(reach), needed(scope, reachWithoutScope)].filter(Boolean).join(", ")})`;
  const callers = policy.access === "public" ? "everyone" : policy.grants.map(grant).join(", ") || policy.access;
  return [`**Access:** ${callers}  \n**gRPC:** \`${method}\``];
}

// A parameter that has an example is sent by default. That is wrong for the optional ones: the example of If-Match
// fails with 412, and the example of Idempotency-Key replays somebody's earlier request.
function quieten(parameter) {
  if (parameter.required || parameter.example === undefined) return;
  parameter.examples = { default: { value: parameter.example, "x-disabled": true } };
  delete parameter.example;
}

// Signing in on this page fills in the token that came back, and keeps it as long as the tab is open.
function keepToken(answer) {
  const token = answer.data?.accessToken;
  if (!token) return;
  sessionStorage.setItem(TOKEN, token);
  if (forgetTyped()) location.reload();
  else reference.updateConfiguration(configuration());
}

// Scalar keeps a token that was typed in, and prefers it to ours, even if it has expired.
// Returns whether there was one.
function forgetTyped() {
  const keys = Object.keys(localStorage).filter((key) => key.startsWith("scalar-reference-auth-"));
  const typed = keys.filter((key) => JSON.parse(localStorage.getItem(key)).secrets?.bearer?.["x-scalar-secret-token"]);
  for (const key of typed) localStorage.removeItem(key);
  return typed.length > 0;
}

const reference = Scalar.createApiReference("#reference", configuration());
