// A real OpenID provider (the npm package oidc-provider) for the tests: its own login and consent pages, strict about
// PKCE, redirect addresses and client authentication.
//
//   node provider.mjs MODULES SETTINGS
//
// MODULES is the folder with node_modules; SETTINGS a JSON file: { certificate, key (PEM files), client_id,
// client_secret, redirect_uri, accounts: [{ subject, … claims }] }. Prints `ready ISSUER` and serves until its
// standard input ends, so that it never outlives the test that started it.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, settingsFile] = process.argv.slice(2);
const settings = JSON.parse(readFileSync(settingsFile, 'utf8'));
const require = createRequire(pathToFileURL(path.join(modules, 'package.json')));
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const OWN = ['holder_kind', 'holder_number', 'represents', 'roles', 'organisation'];
const accounts = new Map(settings.accounts.map((account) => [account.subject, account]));

let callback = (request, response) => response.writeHead(503).end();
const server = https.createServer(
  { cert: readFileSync(settings.certificate), key: readFileSync(settings.key) },
  (request, response) => callback(request, response),
);
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: [settings.redirect_uri],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'client_secret_basic',
    }],
    pkce: { required: () => true },
    scopes: ['openid', 'profile', 'yihao'],
    claims: { openid: ['sub'], profile: ['name'], yihao: OWN },
    features: { devInteractions: { enabled: true } },
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
    cookies: { keys: ['only for tests'] },
    async findAccount(context, subject) {
      const account = accounts.get(subject);
      return account && { accountId: subject, claims: async () => ({ sub: subject, ...account }) };
    },
  });
  callback = provider.callback();
  console.log(`ready ${issuer}`);
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
