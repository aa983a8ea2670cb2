// A certified OAuth 2.0 server with the few API paths that stand behind its tokens, for tests.
//
// Runs in the folder with the installed packages. The one argument is JSON:
//   { clients: [{ client_id, client_secret, redirect_uris, token_endpoint_auth_method?, pkce_required?, … }],
//     users: [{ sub, email, name }], access_token_seconds, scopes, routes: { path: { status, json } },
//     pages: { path: HTML }, upstream?: { base_url, api_key } }
// Further fields of a client are passed to the server as they are. A request that names no scope gets the first
// of `scopes`. What is neither a route nor an answer of our own goes to the upstream, a platform that knows no
// tokens, as the account's own request; `pages` are there for everybody, whatever the method. Prints one JSON line
// with `base_url` when it listens, and ends when its standard input does.
//
// People log in and decide at plain forms: `login` takes a sub or an e-mail address, `decision` is `allow` or
// `deny`. `POST /control/revoke?user=…` takes everything back that a user granted, and
// `POST /control/expire?user=…` ends the access tokens alone. `GET /control/log` lists what came to the token
// endpoint, `GET /control/calls` what came to the API; neither list holds a secret. `GET /control/secrets` lists every
// code and token that was ever given out.

import { createServer } from 'node:http';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

// The server's notices would mix with our line.
console.info = console.error;
// Debian's older Node.js lacks it.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

const { default: Provider } = await import(pathToFileURL(resolve('node_modules/oidc-provider/lib/index.js')).href);

const DAY_SECONDS = 86_400;
// A code is exchanged at once or never.
const CODE_SECONDS = 60;
// Plenty for a form of one field.
const FORM_BYTES_MAX = 4096;

const config = JSON.parse(process.argv[2]);
const users = new Map(config.users.map((user) => [user.sub, user]));
const withPkce = new Set(config.clients.filter((client) => client.pkce_required).map((client) => client.client_id));

function makeProvider(issuer) {
  return new Provider(issuer, {
    clients: config.clients.map(({ pkce_required: _, ...metadata }) => ({
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      ...metadata,
    })),
    cookies: { keys: ['a key for the cookies of a test'] },
    expiresWithSession: () => false,
    features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
    findAccount: (_, sub) => users.has(sub) && { accountId: sub, claims: () => users.get(sub) },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    // Where the argument asks for nothing, the server's own rule: only clients without a secret need it.
    pkce: { required: (_, client) => client.clientAuthMethod === 'none' || withPkce.has(client.clientId) },
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', ...config.scopes],
    ttl: {
      AccessToken: config.access_token_seconds,
      AuthorizationCode: CODE_SECONDS,
      Grant: DAY_SECONDS,
      IdToken: config.access_token_seconds,
      Interaction: DAY_SECONDS,
      RefreshToken: DAY_SECONDS,
      Session: DAY_SECONDS,
    },
  });
}

// --- What people see ---

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

function page(title, body) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>${title}</title><h1>${title}</h1>${body}</html>`;
}

function loginPage(hint) {
  return page('Log in', `${hint ? `<p role="alert">${hint}</p>` : ''}<form method="post">
<label>User <input name="login" required autocomplete="off"></label> <button>Log in</button></form>`);
}

function consentPage(client, sub, scopes) {
  return page('Allow access', `<p>${escape(client)} asks for ${escape(scopes)} of ${escape(users.get(sub).email)}.</p>
<form method="post"><button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button></form>`);
}

async function form(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > FORM_BYTES_MAX) throw new Error('the form is too long');
  }
  return new URLSearchParams(text);
}

async function interact(provider, ctx) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(ctx.req, ctx.res);
  const scopes = prompt.details.missingOIDCScope ?? [];
  const show = (html) => Object.assign(ctx, { type: 'html', body: html });
  if (ctx.method !== 'POST') {
    const consent = () => consentPage(params.client_id, session.accountId, scopes.join(' '));
    return show(prompt.name === 'login' ? loginPage() : consent());
  }
  const fields = await form(ctx.req);
  let result = { error: 'access_denied', error_description: 'the user said no' };
  if (prompt.name === 'login') {
    const name = fields.get('login');
    const user = config.users.find(({ sub, email }) => sub === name || email === name);
    if (!user) return show(loginPage('This user is not known.'));
    result = { login: { accountId: user.sub } };
  } else if (fields.get('decision') === 'allow') {
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(scopes.join(' '));
    result = { consent: { grantId: await grant.save() } };
  }
  const to = await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: !result.error });
  ctx.status = 303;
  ctx.redirect(to);
}

// --- The API behind the tokens ---

function person(user) {
  const [given, ...rest] = user.name.split(' ');
  return { given, surname: rest.join(' ') };
}

const api = {
  '/api/v6/authorization/whoami': (user) => ({
    UserId: user.sub,
    Email: user.email,
    GivenName: person(user).given,
    Surname: person(user).surname,
    UserName: user.email,
  }),
  '/v3/account': (user) => ({
    account: { account_id: user.sub, email_address: user.email, is_locked: false, callback_url: null },
  }),
};

async function pass(ctx) {
  const { base_url, api_key } = config.upstream;
  // Below the one that we stand for: its path begins with the API's version too.
  const url = base_url + ctx.url.replace(/^\/(api\/v6|v3)(?=\/)/, '');
  const authorization = `Basic ${Buffer.from(`${api_key}:`).toString('base64')}`;
  const answer = await fetch(url, { method: ctx.method, headers: { authorization }, redirect: 'manual' });
  ctx.status = answer.status;
  for (const name of ['content-type', 'retry-after']) {
    if (answer.headers.has(name)) ctx.set(name, answer.headers.get(name));
  }
  ctx.body = Buffer.from(await answer.arrayBuffer());
}

async function call(provider, ctx) {
  const bearer = /^Bearer (.+)$/i.exec(ctx.get('authorization'))?.[1];
  const token = await provider.AccessToken.find(bearer ?? (ctx.path.startsWith('/api/') ? ctx.get('apiToken') : ''));
  const user = token && users.get(token.accountId);
  const route = config.routes[ctx.path];
  if (!user) {
    ctx.status = 401;
    // One platform says nothing, the other says why.
    ctx.body = ctx.path.startsWith('/v3/')
      ? { error: { error_msg: 'Unauthorized access token', error_name: 'unauthorized' } }
      : '';
  } else if (route) {
    ctx.status = route.status;
    ctx.body = route.json;
  } else if (api[ctx.path]) {
    ctx.body = api[ctx.path](user);
  } else if (config.upstream) {
    await pass(ctx);
  } else {
    ctx.status = 404;
    ctx.body = {};
  }
  calls.push({ method: ctx.method, path: ctx.path, user: user?.sub ?? null, status: ctx.status });
}

// --- What tests ask and do ---

const log = [];
const calls = [];
// Ids, and whose they are.
const grants = new Map();
const accessTokens = new Map();
const secrets = new Set();

function note(ctx) {
  const body = ctx.body ?? {};
  log.push({
    grant_type: ctx.oidc.params?.grant_type ?? null,
    client_id: ctx.oidc.client?.clientId ?? null,
    fields: Object.keys(ctx.oidc.body ?? {}).sort(),
    status: ctx.status,
    error: body.error ?? null,
    tokens: ['access_token', 'refresh_token'].filter((name) => body[name]).length,
  });
}

// The ids among these that are a user's.
const idsOf = (sub, ids) => [...ids].filter(([, owner]) => owner === sub).map(([id]) => id);

const acts = {
  async '/control/expire'(provider, sub) {
    for (const id of idsOf(sub, accessTokens)) await (await provider.AccessToken.find(id))?.destroy();
  },
  async '/control/revoke'(provider, sub) {
    for (const id of idsOf(sub, grants)) {
      for (const kind of ['AccessToken', 'RefreshToken', 'AuthorizationCode']) {
        await provider[kind].revokeByGrantId(id);
      }
      await (await provider.Grant.find(id))?.destroy();
      grants.delete(id);
    }
  },
};

async function control(provider, ctx) {
  if (ctx.path === '/control/log') {
    ctx.body = log;
  } else if (ctx.path === '/control/calls') {
    ctx.body = calls;
  } else if (ctx.path === '/control/secrets') {
    ctx.body = [...secrets];
  } else if (acts[ctx.path] && ctx.method === 'POST' && users.has(ctx.query.user)) {
    await acts[ctx.path](provider, ctx.query.user);
    ctx.status = 204;
  } else {
    ctx.status = 404;
  }
}

async function route(provider, ctx, next) {
  if (ctx.path.startsWith('/control/')) return control(provider, ctx);
  if (config.pages[ctx.path]) return Object.assign(ctx, { type: 'html', body: config.pages[ctx.path] });
  if (ctx.path.startsWith('/interaction/')) return interact(provider, ctx);
  if (/^\/(api\/v6|v3)\//.test(ctx.path)) return call(provider, ctx);
  if (ctx.path === '/auth' && !ctx.query.scope) ctx.query = { ...ctx.query, scope: config.scopes[0] };
  await next();
  if (ctx.oidc?.route === 'token') note(ctx);
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const base_url = `http://127.0.0.1:${server.address().port}`;
  const provider = makeProvider(base_url);
  provider.on('grant.saved', (grant) => grants.set(grant.jti, grant.accountId));
  provider.on('access_token.saved', (token) => accessTokens.set(token.jti, token.accountId));
  for (const kind of ['authorization_code', 'access_token', 'refresh_token']) {
    // An opaque one is its id.
    provider.on(`${kind}.saved`, ({ jti }) => secrets.add(jti));
  }
  provider.on('server_error', (_, error) => console.error(error));
  provider.use((ctx, next) => route(provider, ctx, next));
  server.on('request', provider.callback());
  console.log(JSON.stringify({ base_url }));
});
process.stdin.resume().on('end', () => process.exit());
