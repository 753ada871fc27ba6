// One function for each library: it calls the verifier as the library's own
// documentation does, and returns true or nothing, or throws, or returns false.

import { parse as parseQuery } from 'node:querystring';
import { createHash, createPublicKey, createSecretKey } from 'node:crypto';

export async function load(libraries) {
  const jose = await libraries.import('jose/dist/node/esm/index.js');
  const octokit = await libraries.import('@octokit/webhooks-methods/dist-node/index.js');
  const line = await libraries.import('@line/bot-sdk/dist/validate-signature.js');
  const linear = await libraries.import('@linear/sdk/dist/webhooks/index.mjs');
  const sanity = await libraries.import('@sanity/webhook/dist/index.mjs');
  const contentful = await libraries.import('@contentful/node-apps-toolkit/lib/requests/index.mjs');
  const livekit = await libraries.import('livekit-server-sdk/dist/WebhookReceiver.js');
  const livekitToken = await libraries.import('livekit-server-sdk/dist/AccessToken.js');
  const apple = libraries.load('@apple/app-store-server-library/dist/jws_verification.js');
  const trueLayer = libraries.load('truelayer-signing/lib/lib.js');
  const mux = libraries.load('@mux/mux-node/resources/webhooks/webhooks.js');
  const openai = libraries.load('openai/resources/webhooks.js');
  const modernTreasury = libraries.load('modern-treasury/resources/webhooks.js');
  const standard = libraries.load('standardwebhooks/dist/index.js');
  const svix = libraries.load('svix/dist/webhook.js');
  const stripe = libraries.load('stripe/cjs/stripe.cjs.node.js');
  const slack = libraries.load('@slack/bolt/dist/receivers/verify-request.js');
  const twilio = libraries.load('twilio/lib/webhooks/webhooks.js');
  const messagebird = libraries.load('messagebird/lib/webhook-signature-jwt.js');
  const messagebirdLegacy = libraries.load('messagebird/lib/signature.js');
  const paddle = libraries.load('@paddle/paddle-node-sdk/dist/cjs/index.cjs.node.js');
  const notion = libraries.load('@notionhq/client/build/src/webhooks.js');
  const hygraph = libraries.load('@hygraph/utils/index.js');
  const webflow = libraries.load('webflow-api/wrapper/WebhooksClient.js');
  const pusherWebhook = libraries.load('pusher/lib/webhook.js');
  const PusherToken = libraries.load('pusher/lib/token.js');
  const razorpay = libraries.load('razorpay/dist/utils/razorpay-utils.js');
  const retell = libraries.load('retell-sdk/lib/webhook_auth.js');
  const mercadopago = libraries.load('mercadopago/dist/utils/webhook/index.js');
  const plivo = libraries.load('plivo/dist/utils/security.js');
  const plivoV3 = libraries.load('plivo/dist/utils/v3Security.js');
  libraries.load('@shopify/shopify-api/dist/cjs/adapters/node/index.js');
  const shopify = libraries.load('@shopify/shopify-api/dist/cjs/lib/webhooks/validate.js');
  const tern = libraries.load('@hookflo/tern/dist/index.js');

  const form = (r) => ({ ...parseQuery(r.text) });
  const digest = (r, encoding) => createHash('sha256').update(r.bytes).digest(encoding);
  const claims = async (r, token, options) => (await jose.jwtVerify(token, createPublicKey(r.secret), options)).payload;
  const sharedTolerance = 300; // seconds, for those that leave it to the caller

  const verifiers = {
    '@apple/app-store-server-library': (r) => new apple.SignedDataVerifier([r.secret], false, 'Sandbox', 'com.example.app')
      .verifyAndDecodeNotification(JSON.parse(r.text).signedPayload).then(() => true),
    '@contentful/node-apps-toolkit': (r) => contentful.verifyRequest(
      r.secret, { method: r.method, path: r.path, headers: r.headers, body: r.text }),
    '@hygraph/utils': (r) => hygraph.verifyWebhookSignature(
      { body: r.text, rawPayload: r.text, signature: r.headers['gcms-signature'], secret: r.secret }),
    '@line/bot-sdk': (r) => line.default(r.bytes, r.secret, r.headers['x-line-signature']),
    '@linear/sdk': (r) => new linear.LinearWebhookClient(r.secret).verify(r.bytes, r.headers['linear-signature']),
    '@mux/mux-node': (r) => new mux.Webhooks({}).verifySignature(r.text, r.headers, r.secret),
    '@notionhq/client': (r) => notion.verifyWebhookSignature(
      { body: r.bytes, signature: r.headers['x-notion-signature'], verificationToken: r.secret }),
    '@octokit/webhooks-methods': (r) => octokit.verify(r.secret, r.text, r.headers['x-hub-signature-256']),
    '@paddle/paddle-node-sdk': (r) => new paddle.Paddle('key').webhooks.isSignatureValid(
      r.text, r.secret, r.headers['paddle-signature']),
    '@sanity/webhook': (r) => sanity.isValidSignature(r.text, r.headers['sanity-webhook-signature'], r.secret),
    '@shopify/shopify-api': async (r) => (await shopify.validateFactory(
      { apiSecretKey: r.secret, logger: { level: -1, log: () => {} } })(
      { rawBody: r.text, rawRequest: { headers: r.headers, method: r.method, url: r.path } })).valid,
    '@slack/bolt': (r) => slack.verifySlackRequest({ signingSecret: r.secret, body: r.text, headers: r.headers }),
    // No provider's own, but what their pages tell receivers to take.
    'jose/fireblocks': async (r) => {
      const token = r.headers['fireblocks-webhook-signature'].replace('..', `.${r.bytes.toString('base64url')}.`);
      const { payload } = await jose.compactVerify(token, createPublicKey(r.secret), { algorithms: ['RS512'] });
      return r.bytes.equals(payload);
    },
    'jose/fusionauth': async (r) => (await claims(
      r, r.headers['x-fusionauth-signature-jwt'])).request_body_sha256 === digest(r, 'base64'),
    'jose/google-pubsub': async (r) => {
      const [, token] = r.headers.authorization.match(/Bearer (.*)/);
      const { email, email_verified } = await claims(r, token, {
        algorithms: ['RS256'], issuer: ['https://accounts.google.com', 'accounts.google.com'],
        audience: 'https://hooks.example.com/hook/a', clockTolerance: 60, requiredClaims: ['exp'],
      });
      return email === 'push@project.iam.gserviceaccount.com' && email_verified === true;
    },
    'jose/kinde': async (r) => {
      await claims(r, r.text, { algorithms: ['RS256'], issuer: 'https://example.kinde.com' });
      return true;
    },
    'jose/plaid': async (r) => {
      const options = { algorithms: ['ES256'], maxTokenAge: '5 min' };
      return (await claims(r, r.headers['plaid-verification'], options)).request_body_sha256 === digest(r, 'hex');
    },
    'jose/sign-in-with-apple': async (r) => {
      await claims(r, JSON.parse(r.text).payload, {
        algorithms: ['RS256'], issuer: 'https://appleid.apple.com', audience: 'com.example.app', requiredClaims: ['exp'],
      });
      return true;
    },
    'livekit-server-sdk': (r) => new livekit.WebhookReceiver('key-2026', r.secret)
      .receive(r.text, r.headers.authorization).then(() => true),
    mercadopago: (r) => mercadopago.WebhookSignatureValidator.validate({
      xSignature: r.headers['x-signature'], xRequestId: r.headers['x-request-id'],
      dataId: new URL(r.url).searchParams.get('data.id'), secret: r.secret, toleranceSeconds: sharedTolerance,
    }),
    messagebird: (r) => messagebird.verify(
      r.url, r.bytes, r.headers['messagebird-signature-jwt'], createSecretKey(Buffer.from(r.secret))),
    'messagebird-legacy': (r) => {
      let refused = new Error('next was not called');
      messagebirdLegacy(r.secret)(
        { headers: r.headers, query: { ...parseQuery(r.path.split('?')[1] ?? '') }, body: r.bytes.length ? r.text : '' },
        {}, (error) => { refused = error; });
      if (refused) throw refused;
    },
    'modern-treasury': (r) => new modernTreasury.Webhooks({}).validateSignature(r.text, r.headers, { key: r.secret }),
    openai: (r) => new openai.Webhooks({}).verifySignature(r.text, r.headers, r.secret),
    'plivo-v2': (r) => plivo.validateSignature(
      r.url, r.headers['x-plivo-signature-v2-nonce'], r.headers['x-plivo-signature-v2'], r.secret),
    'plivo-v3': (r) => plivoV3.validateV3Signature(
      r.method, r.url, r.headers['x-plivo-signature-v3-nonce'], r.secret, r.headers['x-plivo-signature-v3'],
      r.isForm ? form(r) : {}),
    pusher: (r) => new pusherWebhook(
      new PusherToken('2026', r.secret), { headers: r.headers, rawBody: r.text }).isValid(),
    razorpay: (r) => razorpay.validateWebhookSignature(r.text, r.headers['x-razorpay-signature'], r.secret),
    'retell-sdk': (r) => retell.verify(r.text, r.secret, r.headers['x-retell-signature']),
    standardwebhooks: (r) => new standard.Webhook(r.secret).verify(r.bytes, r.headers, { jsonParse: false }),
    stripe: (r) => stripe.webhooks.signature.verifyHeader(
      r.bytes, r.headers['stripe-signature'], r.secret, stripe.webhooks.DEFAULT_TOLERANCE),
    svix: (r) => { new svix.Webhook(r.secret).verify(r.bytes, r.headers); },
    'truelayer-signing': (r) => trueLayer.verify({
      publicKeyPem: r.secret, signature: r.headers['tl-signature'], method: r.method, path: r.path, headers: r.headers,
      body: r.text, requiredHeaders: ['X-Tl-Webhook-Timestamp'],
    }),
    twilio: (r) => (new URL(r.url).searchParams.has('bodySHA256')
      ? twilio.validateRequestWithBody(r.secret, r.headers['x-twilio-signature'], r.url, r.text)
      : twilio.validateRequest(r.secret, r.headers['x-twilio-signature'], r.url, r.isForm ? form(r) : {})),
    'webflow-api': (r) => webflow.Client.prototype.verifySignature.call(
      null, { headers: r.headers, body: r.text, secret: r.secret }),
  };

  for (const platform of ['clerk', 'github', 'gitlab', 'lemonsqueezy', 'paddle', 'polar', 'razorpay', 'replicateai',
    'sentry', 'shopify', 'stripe', 'woocommerce']) {
    verifiers[`@hookflo/tern/${platform}`] = async (r) => {
      const request = new Request(r.url, { method: r.method, headers: r.headers, body: r.bytes });
      const said = await tern.WebhookVerificationService.verifyWithPlatformConfig(
        request, platform, r.secret, sharedTolerance);
      return said.isValid || said;
    };
  }

  for (const [name, file, fn, key] of [
    ['bitbucket', 'bitbucket', 'isValidBitbucketWebhook', 'secretKey'],
    ['calcom', 'calcom.post', 'isValidCalcomWebhook', 'secretKey'],
    ['docusign', 'docusign', 'isValidDocusignWebhook', 'secretKey'],
    ['dropbox', 'dropbox', 'isValidDropboxWebhook', 'appSecret'],
    ['fourthwall', 'fourthwall', 'isValidFourthwallWebhook', 'secretKey'],
    ['heroku', 'heroku', 'isValidHerokuWebhook', 'secretKey'],
    ['meta', 'meta', 'isValidMetaWebhook', 'appSecret'],
    ['netlify', 'netlify', 'isValidNetlifyWebhook', 'secretKey'],
    ['slack', 'slack', 'isValidSlackWebhook', 'secretKey'],
    ['twitch', 'twitch', 'isValidTwitchWebhook', 'secretKey'],
    ['vercel', 'vercel', 'isValidVercelWebhook', 'secretKey'],
  ]) {
    const module = await libraries.import(
      `nuxt-webhook-validators/dist/runtime/server/lib/validators/${file}.js`);
    verifiers[`nuxt-webhook-validators/${name}`] = (r) => {
      globalThis.judgeConfig = { webhook: { [name]: { [key]: r.secret } } };
      const req = { method: r.method, headers: r.headers, rawBody: r.bytes };
      return module[fn]({ method: r.method, node: { req }, req });
    };
  }

  const stamped = (prefix, Webhook) => (r) => ({
    [`${prefix}-id`]: 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W',
    [`${prefix}-timestamp`]: String(Math.floor(Date.now() / 1000)),
    [`${prefix}-signature`]: new Webhook(r.secret).sign('msg_2KWPBgLlAfxdpx2AI54pPJ85f4W', new Date(), r.text),
  });

  const signers = {
    '@contentful/node-apps-toolkit': (r) => contentful.signRequest(
      r.secret, { method: r.method, path: r.path, headers: r.headers, body: r.text }),
    '@hygraph/utils': (r) => ({ 'gcms-signature': hygraph.generateWebhookSignature(
      { body: r.text, rawPayload: r.text, secret: r.secret }) }),
    '@notionhq/client': async (r) => ({ 'x-notion-signature': await notion.signWebhookPayload(
      { body: r.bytes, verificationToken: r.secret }) }),
    '@octokit/webhooks-methods': async (r) => ({ 'x-hub-signature-256': await octokit.sign(r.secret, r.text) }),
    '@sanity/webhook': async (r) => ({ 'sanity-webhook-signature': await sanity.encodeSignatureHeader(
      r.text, Date.now(), r.secret) }),
    'livekit-server-sdk': async (r) => {
      const token = new livekitToken.AccessToken('key-2026', r.secret, { ttl: 300 });
      token.sha256 = Buffer.from(await crypto.subtle.digest('SHA-256', r.bytes)).toString('base64');
      return { authorization: await token.toJwt() };
    },
    'modern-treasury': (r) => ({ 'x-signature': new modernTreasury.Webhooks({}).getSignature(r.text, { key: r.secret }) }),
    pusher: (r) => ({ 'x-pusher-key': '2026', 'x-pusher-signature': new PusherToken('2026', r.secret).sign(r.text) }),
    'retell-sdk': async (r) => ({ 'x-retell-signature': await retell.sign(r.text, r.secret) }),
    standardwebhooks: stamped('webhook', standard.Webhook),
    stripe: (r) => ({ 'stripe-signature': stripe.webhooks.generateTestHeaderString(
      { payload: r.text, secret: r.secret }) }),
    svix: stamped('svix', svix.Webhook),
    'truelayer-signing': (r) => {
      const headers = { 'X-Tl-Webhook-Timestamp': new Date().toISOString() };
      const signature = trueLayer.sign({
        kid: '2026', privateKeyPem: r.secret, method: r.method, path: r.path, headers, body: r.text,
      });
      return { ...headers, 'tl-signature': signature };
    },
    twilio: (r) => ({ 'x-twilio-signature': twilio.getExpectedTwilioSignature(
      r.secret, r.url, r.isForm ? form(r) : {}) }),
  };
  return { verifiers, signers };
}
