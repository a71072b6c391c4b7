// A certified OpenID provider (oidc-provider) on loopback, for tests: node oidc_provider.mjs '{"port": …}'
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const given = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${given.port}`;
const { privateKey } = generateKeyPairSync(given.curve ? "ec" : "rsa", {
  modulusLength: 2048,
  namedCurve: given.curve ?? "P-256",
});
const key = { ...privateKey.export({ format: "jwk" }), kid: given.kid, use: "sig", alg: given.alg ?? "RS256" };

const provider = new Provider(issuer, {
  clients: given.clients,
  jwks: { keys: [key] },
  cookies: { keys: ["a key of a provider that lives as long as a test"] },
  claims: { openid: ["sub"], profile: ["preferred_username", "name"], groups: ["groups"] },
  scopes: ["openid", "profile", "groups"],
  // True, the default, is the standard: claims of scopes are answered by userinfo and not in the id token.
  conformIdTokenClaims: given.conforms ?? true,
  pkce: { required: () => true },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, name: `${id} of the provider`, groups: given.groups }),
  }),
});
provider.listen(given.port, "127.0.0.1", () => process.stdout.write("listening\n"));
