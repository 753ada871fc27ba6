// Judges of signatures by public keys. The secret of a delivery is the provider's public
// key in PEM. Where a library fetches keys, its HTTP client is stood in for by one that
// answers with that key; all else of the library is its own.

import { createPublicKey } from 'node:crypto';
import { EventEmitter } from 'node:events';
import https from 'node:https';
import Module from 'node:module';
import { parse as parseQuery } from 'node:querystring';
import { Readable } from 'node:stream';

let published; // the PEM of the delivery that is judged

const spki = () => createPublicKey(published).export({ type: 'spki', format: 'pem' });
const jwks = () => ({ keys: [{ ...createPublicKey(published).export({ format: 'jwk' }), kid: '2026', alg: 'RS256', use: 'sig' }] });
const withKeys = async () => new Response(JSON.stringify(jwks()));

// Where the provider keeps the key of the tests; there is none elsewhere.
const places = [
  'https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem',
  'https://s3.amazonaws.com/echo.api/echo-api-cert-15.pem',
  'https://static.adobeioevents.com/prod/keys/pub-key-20fb4b34-3b2f-4b1f-9c3a-0a1b2c3d4e5f.pem',
];

https.get = (url, done) => {
  const response = Readable.from([Buffer.from(published)], { objectMode: false });
  response.statusCode = places.includes(url) ? 200 : 404;
  setImmediate(done, response);
  return new EventEmitter();
};

// Clients of HTTP, caches and logs, by the library that asks for them.
const standIns = {
  '@adobe/aio-lib-events': {
    '@adobe/aio-lib-state': { init: async () => ({ get: async () => undefined, put: async () => {} }) },
    '@adobe/aio-lib-core-logging': () => ({ info: () => {}, error: () => {} }),
    'node-fetch': async (url) => new Response(places.includes(url) ? spki() : 'Not Found'),
  },
  'botframework-connector': {
    'node-fetch': async (url) => (url.endsWith('openidconfiguration')
      ? new Response('{"jwks_uri":"https://login.botframework.com/v1/.well-known/keys"}') : withKeys()),
    'https-proxy-agent': {},
    'botframework-schema': { StatusCodes: {} },
  },
  'event-notification-nodejs-sdk': {
    axios: async () => ({ status: 200, data: { key: spki().replaceAll('\n', ''), algorithm: 'ECDSA', digest: 'SHA1' } }),
    'ebay-oauth-nodejs-client': class {
      async getApplicationToken() {
        return '{"access_token":"x"}';
      }
    },
    'lru-cache': class {
      get() {}
      set() {}
    },
  },
  'google-auth-library': { gaxios: {}, 'google-logging-utils': { log: () => () => {} }, 'gcp-metadata': {} },
};
const realLoad = Module._load;
Module._load = function load(name, parent, ...rest) {
  for (const [library, names] of Object.entries(standIns)) {
    if (name in names && parent?.filename?.includes(`/node_modules/${library}/`)) return names[name];
  }
  return realLoad.call(this, name, parent, ...rest);
};

export async function load(libraries) {
  const jose = await libraries.import('jose/dist/node/esm/index.js');
  const copilot = await libraries.import('@copilot-extensions/preview-sdk/lib/verification.js');
  const kinde = await libraries.import('@kinde/webhooks/dist/webhooks.js');
  const adobe = libraries.load('@adobe/aio-lib-events/src/signatureUtils.js').exportFunctions;
  const discord = libraries.load('discord-interactions/dist/index.js');
  const ebay = libraries.load('event-notification-nodejs-sdk/lib/validator.js');
  const google = libraries.load('google-auth-library/build/src/auth/oauth2client.js');
  const bot = libraries.load('botframework-connector/lib/auth/channelValidation.js').ChannelValidation;
  const botTokens = libraries.load('botframework-connector/lib/auth/jwtTokenExtractor.js').JwtTokenExtractor;
  const messageSignatures = libraries.load('http-message-signatures/lib/index.js');
  const { KJUR } = libraries.load('jsrsasign/lib/jsrsasign.js');
  const sendgrid = libraries.load('@sendgrid/eventwebhook/src/eventwebhook.js');
  const starkbank = libraries.load('starkbank-ecdsa/index.js');
  const telnyx = libraries.load('telnyx/lib/webhooks.js');
  const paddleClassic = libraries.load('verify-paddle-webhook/index.js');
  const wechatFormatter = libraries.load('wechatpay-axios-plugin/lib/formatter.js');
  const wechatRSA = libraries.load('wechatpay-axios-plugin/lib/rsa.js');
  const wix = libraries.load('@wix/sdk/cjs/build/auth/AppStrategy.js');

  const inside = (pem) => pem.replace(/-----.*-----|\s/g, '');
  const raw = (r) => Buffer.from(createPublicKey(r.secret).export({ format: 'jwk' }).x, 'base64url');
  const bearer = (r) => r.headers.authorization.match(/^Bearer (.*)$/)[1];
  const claims = async (r, token, options) => (await jose.jwtVerify(token, createPublicKey(r.secret), options)).payload;

  // As Google's samples for receivers do it.
  const googleClient = () => new google.OAuth2Client({
    transporter: {
      interceptors: { request: new Set(), response: new Set() },
      request: async () => ({ headers: new Headers(), data: { 2026: spki() } }),
    },
  });
  const googleToken = (audience, email) => async (r) => {
    const ticket = await googleClient().verifyIdToken({ idToken: bearer(r), audience });
    return Boolean(ticket.getPayload().email_verified && ticket.getPayload().email === email);
  };
  const pushed = googleToken('https://hooks.example.com/hook/a', 'push@project.iam.gserviceaccount.com');

  // jsrsasign knows no webhooks: the header is the one that the provider's page names.
  const signedBody = (header, algorithm) => (r) => {
    const signature = new KJUR.crypto.Signature({ alg: algorithm });
    signature.init(r.secret);
    signature.updateHex(r.bytes.toString('hex'));
    return signature.verify(Buffer.from(r.headers[header], 'base64').toString('hex'));
  };

  const nuxt = async (name, options) => {
    const module = await libraries.import(`nuxt-webhook-validators/dist/runtime/server/lib/validators/${name}.js`);
    const [valid] = Object.values(module);
    return (r) => {
      globalThis.judgeConfig = { webhook: { [name]: options(r) } };
      const req = { method: r.method, headers: r.headers, rawBody: r.bytes };
      return valid({ method: r.method, node: { req }, req });
    };
  };

  // The library leaves digests of bodies to its caller.
  const signedMessage = (algorithm, rules) => async (r) => messageSignatures.httpbis.verifyMessage({
    keyLookup: async ({ keyid }) => ({
      id: keyid, algs: [algorithm], verify: messageSignatures.createVerifier(r.secret, algorithm),
    }),
    all: true, ...rules,
  }, { method: r.method, url: r.url, headers: r.headers });

  const verifiers = {
    '@adobe/aio-lib-events': async (r) => {
      const recipient = '3ab4c5d6e7f84a1b9c0d1e2f3a4b5c6d';
      return adobe.isTargetRecipient(JSON.parse(r.text), recipient) && true === await adobe.verifyDigitalSignature({
        digiSignature1: r.headers['x-adobe-digital-signature-1'], digiSignature2: r.headers['x-adobe-digital-signature-2'],
        publicKeyPath1: r.headers['x-adobe-public-key1-path'], publicKeyPath2: r.headers['x-adobe-public-key2-path'],
      }, recipient, r.text);
    },
    '@copilot-extensions/preview-sdk': (r) => copilot.verifyRequestByKeyId(
      r.text, r.headers['github-public-key-signature'], r.headers['github-public-key-identifier'],
      { request: async () => ({ headers: {}, data: { public_keys: [{ key_identifier: '2026', key: spki(), is_current: true }] } }) },
    ).then(({ isValid }) => isValid),
    '@kinde/webhooks': async (r) => {
      globalThis.fetch = withKeys;
      return (await kinde.decodeWebhook(r.text, 'https://example.kinde.com')) !== null;
    },
    '@sendgrid/eventwebhook': (r) => {
      const webhook = new sendgrid.EventWebhook();
      const key = webhook.convertPublicKeyToECDSA(inside(r.secret));
      return webhook.verifySignature(key, r.bytes, r.headers['x-twilio-email-event-webhook-signature'],
        r.headers['x-twilio-email-event-webhook-timestamp']);
    },
    '@wix/sdk': async (r) => (await wix.AppStrategy({ appId: 'app', appSecret: 'x', publicKey: r.secret })
      .decodeJWT(r.text)).valid,
    'alexa-verifier': async (r) => {
      const library = await libraries.import(`alexa-verifier/index.js?judge=${encodeURIComponent(r.secret)}`);
      return library.default(r.headers.signaturecertchainurl, r.headers['signature-256'], r.text);
    },
    'botframework-connector': async (r) => {
      botTokens.openIdMetadataCache.clear();
      const credentials = { isValidAppId: async (id) => id === '00001111-aaaa-2222-bbbb-3333cccc4444' };
      const { serviceUrl, channelId } = JSON.parse(r.text);
      return (await bot.authenticateChannelTokenWithServiceUrl(
        r.headers.authorization, credentials, serviceUrl, channelId)).isAuthenticated;
    },
    'discord-interactions': (r) => discord.verifyKey(
      r.bytes, r.headers['x-signature-ed25519'], r.headers['x-signature-timestamp'], raw(r).toString('hex')),
    'event-notification-nodejs-sdk': (r) => ebay.validateSignature(
      JSON.parse(r.text), r.headers['x-ebay-signature'], { environment: 'PRODUCTION' }),
    'google-auth-library/google-chat': googleToken('https://hooks.example.com/hook/a', 'chat@system.gserviceaccount.com'),
    'google-auth-library/google-chat-project': async (r) => {
      await googleClient().verifySignedJwtWithCertsAsync(
        bearer(r), { 2026: spki() }, '1234567890', ['chat@system.gserviceaccount.com']);
    },
    'google-auth-library/google-cloud-tasks': pushed,
    'google-auth-library/google-eventarc': pushed,
    'google-auth-library/google-play-rtdn': pushed,
    'google-auth-library/google-pubsub': pushed,
    'http-message-signatures/adcp': signedMessage('ed25519', {
      requiredFields: ['@method', '@target-uri', '@authority', 'content-type', 'content-digest'],
      requiredParams: ['created', 'expires', 'nonce', 'tag', 'keyid'], maxAge: 300,
    }),
    'http-message-signatures/ucp': signedMessage('ecdsa-p256-sha256', {
      requiredFields: ['@method', '@authority', '@path', 'content-type', 'content-digest'], requiredParams: ['keyid'],
    }),
    'jose/atlassian-forge': async (r) => {
      await claims(r, bearer(r), {
        algorithms: ['RS256'], issuer: 'forge/invocation-token', audience: 'ari:cloud:ecosystem::app/8db33309',
        requiredClaims: ['exp'],
      });
    },
    'jose/azure-event-grid': async (r) => {
      const { appid, azp } = await claims(r, bearer(r), {
        algorithms: ['RS256'], audience: '8e460676-ae3f-4b1e-8790-ee0fb5d6148f', clockTolerance: 300, requiredClaims: ['exp'],
        issuer: ['https://sts.windows.net/{tenant}/', 'https://login.microsoftonline.com/{tenant}/v2.0']
          .map((url) => url.replace('{tenant}', '84bd8158-6d4d-4958-8b9f-9d6445542f95')),
      });
      return (appid ?? azp) === '4962773b-9cdb-44cf-a8bf-237846a00ab7';
    },
    'jose/gemini-api': async (r) => {
      await claims(r, r.headers['webhook-signature'], {
        algorithms: ['RS256'], audience: 'my-project', clockTolerance: 60, requiredClaims: ['exp'],
      });
    },
    'jose/microsoft-graph': async (r) => {
      for (const token of JSON.parse(r.text).validationTokens) {
        const { appid, azp } = await claims(r, token, {
          algorithms: ['RS256'], audience: '8e460676-ae3f-4b1e-8790-ee0fb5d6148f', clockTolerance: 300, requiredClaims: ['exp'],
          issuer: ['https://sts.windows.net/{tenant}/', 'https://login.microsoftonline.com/{tenant}/v2.0']
            .map((url) => url.replace('{tenant}', '84bd8158-6d4d-4958-8b9f-9d6445542f95')),
        });
        if ((appid ?? azp) !== '0bf30f3b-4a52-48df-9a82-234910c4a086') return false;
      }
      return true;
    },
    'jsrsasign/chip-collect': signedBody('x-signature', 'SHA256withRSA'),
    'jsrsasign/dyte': signedBody('dyte-signature', 'SHA256withRSA'),
    'jsrsasign/fireblocks-legacy': signedBody('fireblocks-signature', 'SHA512withRSA'),
    'jsrsasign/freshchat': signedBody('x-freshchat-signature', 'SHA256withRSA'),
    'jsrsasign/wise': signedBody('x-signature-sha256', 'SHA256withRSA'),
    'nuxt-webhook-validators/discord': await nuxt('discord', (r) => ({ publicKey: raw(r).toString('hex') })),
    'nuxt-webhook-validators/kick': await nuxt('kick', (r) => ({ publicKey: r.secret })),
    'sns-validator': (r) => new Promise((resolve, reject) => {
      const Validator = libraries.anew('sns-validator/index.js'); // it keeps certificates
      new Validator().validate(r.text, (error) => (error ? reject(error) : resolve()));
    }),
    'starkbank-ecdsa/circle': (r) => starkbank.Ecdsa.verify(
      r.bytes, starkbank.Signature.fromBase64(r.headers['x-circle-signature']),
      starkbank.PublicKey.fromPem(inside({ 2026: r.secret }[r.headers['x-circle-key-id']]))),
    telnyx: (r) => new telnyx.TelnyxWebhook(raw(r).toString('base64')).verify(r.bytes, r.headers),
    'verify-paddle-webhook': (r) => paddleClassic.verifyPaddleWebhook(r.secret, { ...parseQuery(r.text) }),
    'wechatpay-axios-plugin': (r) => wechatRSA.verify(
      wechatFormatter.response(r.headers['wechatpay-timestamp'], r.headers['wechatpay-nonce'], r.text),
      r.headers['wechatpay-signature'], { 2026: r.secret }[r.headers['wechatpay-serial']]),
  };
  const sign = (algorithm, params, fields, tag) => async (r) => {
    const signed = await messageSignatures.httpbis.signMessage({
      key: messageSignatures.createSigner(r.secret, algorithm, '2026'), name: 'sig1', params, fields,
      paramValues: { nonce: 'KtSAJVLCnJ4k6dLvDZdAyg', tag },
    }, { method: r.method, url: r.url, headers: { ...r.headers, 'content-digest': r.contentDigest } });
    return Object.fromEntries(Object.entries(signed.headers).map(([name, value]) => [name.toLowerCase(), value]));
  };
  const signers = {
    'http-message-signatures/adcp': sign('ed25519', ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'],
      ['@method', '@target-uri', '@authority', 'content-type', 'content-digest'], 'adcp/webhook-signing/v1'),
    'http-message-signatures/ucp': sign('ecdsa-p256-sha256', ['keyid'],
      ['@method', '@authority', '@path', 'content-type', 'content-digest']),
    'wechatpay-axios-plugin': (r) => {
      const [time, nonce] = [String(Math.floor(Date.now() / 1000)), 'KtSAJVLCnJ4k6dLvDZdAyg'];
      return {
        'wechatpay-timestamp': time, 'wechatpay-nonce': nonce, 'wechatpay-serial': '2026',
        'wechatpay-signature': wechatRSA.sign(wechatFormatter.response(time, nonce, r.text), r.secret),
      };
    },
  };

  for (const [name, verify] of Object.entries(verifiers)) {
    verifiers[name] = (r) => {
      published = r.secret;
      return verify(r);
    };
  }
  return { verifiers, signers };
}
