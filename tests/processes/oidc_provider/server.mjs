// A provider of OpenID Connect for the tests: panva's certified implementation, whose only person signs in and consents at
// once. Prints its port once it listens.
//
// usage: node server.mjs DIRECTORY of the packages, REDIRECT_URI

import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [packages, redirectUri] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${packages}/node_modules/oidc-provider/lib/index.js`));

// The reader of the port closes the pipe, and the provider prints warnings later.
process.stdout.on("error", () => {});

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{ client_id: "mainstay", client_secret: "hunter2", redirect_uris: [redirectUri] }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    cookies: { keys: ["of the tests"] },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, accountId) => ({
      accountId,
      claims: () => ({ sub: accountId, email: "grace@real.example", email_verified: true, name: "Grace" }),
    }),
  });
  provider.use(async (context, next) => {
    if (!context.path.startsWith("/interaction/")) return next();
    const { prompt, session, params } = await provider.interactionDetails(context.req, context.res);
    if (prompt.name === "login") {
      return provider.interactionFinished(context.req, context.res, { login: { accountId: "person-1" } });
    }
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    const grantId = await grant.save();
    return provider.interactionFinished(context.req, context.res, { consent: { grantId } });
  });
  server.on("request", provider.callback());
  console.log(port);
});
